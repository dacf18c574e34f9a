"use strict";

// Tables to copy as CSV or LaTeX, figures to save as PNG.
{
  const button = (label, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = label;
    made.addEventListener("click", () => act(made));
    return made;
  };
  const row = (...buttons) => {
    const made = document.createElement("div");
    made.className = "tools";
    made.append(...buttons);
    return made;
  };

  // The cells as a spreadsheet reads them: plain minus signs, no marks.
  const cells = (table) => [...table.rows].map((line) => [...line.cells].map((cell) =>
    cell.textContent.replace(/\u2212/g, "-").replace(/\u25bc\s*/g, "").replace(/^\u2013$/, "")));
  const csv = (table) => cells(table).map((line) => line.map((cell) =>
    /[",\n]/.test(cell) ? `"${cell.replace(/"/g, '""')}"` : cell).join(",")).join("\n") + "\n";
  const latex = (table) => {
    const escape = (cell) => cell
      .replace(/\\/g, "\\textbackslash ").replace(/[&%$#_{}]/g, "\\$&").replace(/[~^]/g, "\\$&{}");
    const lines = cells(table).map((line) => line.map(escape).join(" & ") + " \\\\");
    const columns = "l" + "r".repeat(table.rows[0].cells.length - 1);
    return [`\\begin{tabular}{${columns}}`, "\\toprule", lines[0], "\\midrule",
      ...lines.slice(1), "\\bottomrule", "\\end{tabular}"].join("\n") + "\n";
  };

  async function copy(text, made) {
    const label = made.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    made.textContent = "Copied";
    setTimeout(() => { made.textContent = label; }, 1500);
  }

  function save(href, name) {
    const link = document.createElement("a");
    link.href = href;
    link.download = name;
    link.click();
  }

  // A still image as PNG, whatever the page holds it as; an animation as it is.
  function saveImage(image) {
    const { name, moving } = image.dataset;
    if (moving) return save(image.src, `${name}.${image.src.match(/^data:image\/(\w+)/)[1]}`);
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    canvas.getContext("2d").drawImage(image, 0, 0);
    save(canvas.toDataURL("image/png"), `${name}.png`);
  }

  for (const table of document.querySelectorAll(".scroll > table")) {
    table.parentElement.after(row(
      button("Copy as CSV", (made) => copy(csv(table), made)),
      button("Copy as LaTeX", (made) => copy(latex(table), made))));
  }
  for (const image of document.querySelectorAll(".frame img")) {
    image.closest(".frame").after(row(button("Save image", () => saveImage(image))));
  }
  window.Page = { csv, latex };
}
