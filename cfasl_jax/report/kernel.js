"use strict";

// The decoder and the matrix exponential, on flat row-major arrays.
const Kernel = (() => {
  function floats(base64) {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  }

  // Decodes the arrays of a layer, or of any object with named base64 arrays.
  function unpack(packed) {
    const open = ([name, value]) =>
      typeof value === "string" && name !== "kind" ? [name, floats(value)] : [name, value];
    return Object.fromEntries(Object.entries(packed).map(open));
  }

  function matmul(a, b, n) {
    const product = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < n; k++) {
        const x = a[i * n + k];
        if (x === 0) continue;
        for (let j = 0; j < n; j++) product[i * n + j] += x * b[k * n + j];
      }
    }
    return product;
  }

  // Scaling and squaring: halve until small, sum the Taylor series, square back.
  function expm(matrix, n) {
    const norm = Math.hypot(...matrix);
    const halvings = norm > 0.25 ? Math.ceil(Math.log2(norm / 0.25)) : 0;
    const small = Float64Array.from(matrix, (x) => x / 2 ** halvings);
    let sum = new Float64Array(n * n);
    for (let i = 0; i < n; i++) sum[i * n + i] = 1;
    let term = sum;
    for (let order = 1; order <= 12; order++) {
      term = matmul(term, small, n).map((x) => x / order);
      sum = sum.map((x, i) => x + term[i]);
    }
    for (let i = 0; i < halvings; i++) sum = matmul(sum, sum, n);
    return sum;
  }

  // z -> z expm(matrix), for a row vector z; with one row more, on [z, 1].
  function act(z, matrix) {
    const n = Math.sqrt(matrix.length);
    const group = expm(matrix, n);
    const moved = new Float64Array(z.length);
    const row = n > z.length ? [...z, 1] : z;
    row.forEach((x, i) => moved.forEach((_, j) => (moved[j] += x * group[i * n + j])));
    return moved;
  }

  // sum_i weights[i] matrices[i], each matrix of `size` entries.
  function combine(weights, matrices, size) {
    const total = new Float64Array(size);
    weights.forEach((w, i) => {
      for (let j = 0; j < size && w !== 0; j++) total[j] += w * matrices[i * size + j];
    });
    return total;
  }

  function dense(x, { kernel, bias }) {
    const y = Float64Array.from(bias);
    const width = bias.length;
    for (let i = 0; i < x.length; i++) {
      if (x[i] === 0) continue;
      for (let j = 0; j < width; j++) y[j] += x[i] * kernel[i * width + j];
    }
    return y;
  }

  // 4 x 4, stride 2, padding 1: input pixel (r, c) adds to (2r + a - 1, 2c + b - 1).
  function transposedConv(x, { kernel, bias, inputs }) {
    const outputs = bias.length;
    const side = Math.sqrt(x.length / inputs);
    const wide = 2 * side;
    const y = new Float64Array(wide * wide * outputs);
    for (let i = 0; i < y.length; i++) y[i] = bias[i % outputs];
    for (let pixel = 0; pixel < side * side; pixel++) {
      const top = 2 * Math.floor(pixel / side) - 1;
      const left = 2 * (pixel % side) - 1;
      for (let tap = 0; tap < 16; tap++) {
        const row = top + (tap >> 2);
        const column = left + (tap & 3);
        if (row < 0 || column < 0 || row >= wide || column >= wide) continue;
        const to = (row * wide + column) * outputs;
        for (let i = 0; i < inputs; i++) {
          const value = x[pixel * inputs + i];
          if (value === 0) continue;
          const from = (tap * inputs + i) * outputs;
          for (let o = 0; o < outputs; o++) y[to + o] += value * kernel[from + o];
        }
      }
    }
    return y;
  }

  const apply = {
    dense,
    transposed_conv: transposedConv,
    lie: (z, { generators, size }) =>
      expm(combine(z, generators, size * size), size),
  };

  // Returns the image of z, [H, W, C] flat, between 0 and 1.
  function decode(layers, z) {
    let x = z;
    for (const layer of layers) {
      x = apply[layer.kind](x, layer);
      if (layer.relu) x = x.map((v) => Math.max(v, 0));
    }
    return x.map((v) => 1 / (1 + Math.exp(-v)));
  }

  return { unpack, floats, expm, act, combine, decode };
})();

if (typeof module !== "undefined") module.exports = Kernel;
