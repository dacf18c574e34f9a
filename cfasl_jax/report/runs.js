"use strict";

// Shows the figures of the chosen run only.
{
  const chooser = document.getElementById("run");
  const show = () => {
    for (const block of document.querySelectorAll(".run")) {
      block.hidden = block.dataset.run !== chooser.value;
    }
  };
  chooser.addEventListener("change", show);
  show();
}
