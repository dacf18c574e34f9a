"use strict";

// The page's explorer: sliders and choices in, decoded images out.
const Explorer = (() => {
  const root = document.getElementById("explorer");
  const data = Kernel.unpack(
    JSON.parse(document.getElementById("explorer-data").textContent));
  const layers = data.layers.map(Kernel.unpack);
  const { examples: n, dims: D, sections: S, elements: L, rows: E, channels: C } = data;
  const one = (selector) => root.querySelector(selector);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const code = (i) => data.latents.slice(i * D, (i + 1) * D);
  let z; // exact, where a slider shows a multiple of its step
  const chosen = (name) => Number(one(`input[name="${name}"]:checked`).value);

  function paint(canvas, image) {
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(canvas.width, canvas.height);
    for (let i = 0; i < canvas.width * canvas.height; i++) {
      for (let c = 0; c < 3; c++) {
        pixels.data[4 * i + c] = Math.round(255 * image[i * C + (C === 3 ? c : 0)]);
      }
      pixels.data[4 * i + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
  }

  function tell(input, value = input.value) {
    const shown = Number(value).toFixed(2);
    // No negative zero.
    input.closest("label").querySelector("output").value = shown === "-0.00" ? "0.00" : shown;
  }

  function set(input, value) {
    input.value = value;
    tell(input, value);
  }

  // The code that the sliders stand for: the dimensions, then all sections at once.
  function currentCode() {
    const amounts = all("[data-section]").map((input) => Number(input.value));
    if (!amounts.some((a) => a !== 0)) return z;
    return Kernel.act(z, Kernel.combine(amounts, data.section_generators, E * E));
  }

  function drawOne() {
    paint(one("#explorer-image"), Kernel.decode(layers, currentCode()));
  }

  function chooseExample() {
    z = code(chosen("example"));
    all("[data-dimension]").forEach((input) => set(input, z[input.dataset.dimension]));
    all("[data-section]").forEach((input) => set(input, 0));
    one("#explorer-original").src = one('input[name="example"]:checked + img').src;
    drawOne();
  }

  // M = sum_s sw[s] sum_l a[s, l] A[s, l] of the chosen pair.
  function composite() {
    const pair = chosen("first") * n + chosen("second");
    const weights = data.attention.slice(pair * S * L, (pair + 1) * S * L);
    all("[data-switch]").forEach((box, s) => {
      if (!box.checked) weights.fill(0, s * L, (s + 1) * L);
    });
    return Kernel.combine(weights, data.generators, E * E);
  }

  function pairCode() {
    const amount = Number(one("#explorer-amount").value);
    const generator = composite().map((x) => amount * x);
    return Kernel.act(code(chosen("first")), generator);
  }

  function drawPair() {
    paint(one("#explorer-composed"), Kernel.decode(layers, pairCode()));
  }

  function choosePair() {
    const pair = chosen("first") * n + chosen("second");
    all("[data-switch]").forEach((box, s) => {
      box.checked = data.switch[pair * S + s] > 0.5;
    });
    for (const place of ["first", "second"]) {
      one(`#explorer-${place}`).src = one(`input[name="${place}"]:checked + img`).src;
    }
    drawPair();
  }

  root.addEventListener("input", ({ target }) => {
    if (target.type === "range") tell(target);
    if (target.dataset.dimension) z[target.dataset.dimension] = target.value;
    if (target.name === "example") chooseExample();
    else if (target.name === "first" || target.name === "second") choosePair();
    else if (target.closest("#explorer-pair")) drawPair();
    else drawOne();
  });
  one("#explorer-reset").addEventListener("click", chooseExample);
  one("#explorer-predicted")?.addEventListener("click", choosePair);

  chooseExample();
  if (one("#explorer-pair")) choosePair();
  return { layers, currentCode, pairCode };
})();
