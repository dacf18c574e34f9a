"use strict";

// Shows the figures of one run: chosen by its seed, or by its rank in a score.
{
  const ranks = JSON.parse(document.getElementById("run-data").textContent);
  const runs = document.getElementById("run");
  const score = document.getElementById("score");
  const note = document.getElementById("chosen");

  // "seed 3: MIG 25.00, best"
  function describe() {
    const label = runs.selectedOptions[0].textContent;
    if (!score) return label;
    const { name, values, ...places } = ranks[score.value];
    const run = Number(runs.value);
    if (values[run] === null) return `${label}: no ${name}`;
    const rank = Object.keys(places).filter((place) => places[place] === run);
    return [`${label}: ${name} ${(100 * values[run]).toFixed(2)}`, ...rank].join(", ");
  }

  function show() {
    for (const block of document.querySelectorAll(".run")) {
      block.hidden = block.dataset.run !== runs.value;
    }
    note.textContent = describe();
  }

  function choose(rank) {
    runs.value = ranks[score.value][rank];
    show();
  }

  runs.addEventListener("change", show);
  score?.addEventListener("change", () => choose("best"));
  for (const button of document.querySelectorAll("[data-rank]")) {
    button.addEventListener("click", () => choose(button.dataset.rank));
  }
  show();
}
