// <line-plot>: the last two minutes of some figures, as lines.

const SECONDS = 120;
const WIDTH = 300;
const HEIGHT = 80;
const SVG = "http://www.w3.org/2000/svg";

class LinePlot extends HTMLElement {
  // lines: [{name, unit}] in the order that `add` gets values; digits: after the point.
  setUp(title, lines, digits = 0) {
    this.lines = lines.map((name) => ({ name, points: [] }));
    this.digits = digits;
    this.title_ = title;
    const heading = document.createElement("h3");
    heading.textContent = title;
    this.scale = document.createElement("span");
    this.scale.className = "scale";
    heading.append(this.scale);
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("role", "img");
    const legend = document.createElement("p");
    legend.className = "legend";
    for (const [index, line] of this.lines.entries()) {
      line.path = document.createElementNS(SVG, "polyline");
      line.path.setAttribute("class", `line line-${index}`);
      this.svg.append(line.path);
      line.key = document.createElement("span");
      line.key.className = `key key-${index}`;
      legend.append(line.key);
    }
    this.append(heading, this.svg, legend);
    this.draw(0);
  }

  // values: one a line, null where there is none.
  add(seconds, values) {
    for (const [index, line] of this.lines.entries()) {
      if (values[index] !== null && values[index] !== undefined) {
        line.points.push([seconds, values[index]]);
      }
      line.points = line.points.filter(([at]) => at > seconds - SECONDS);
    }
    this.draw(seconds);
  }

  clear() {
    for (const line of this.lines) {
      line.points = [];
    }
    this.draw(0);
  }

  draw(seconds) {
    const highest = Math.max(0, ...this.lines.flatMap(({ points }) => points.map(([, y]) => y)));
    const top = rounded(highest);
    this.scale.textContent = highest ? `0 to ${top}` : "";
    for (const line of this.lines) {
      const at = ([x, y]) => {
        const across = WIDTH * (1 - (seconds - x) / SECONDS);
        return `${across.toFixed(1)},${(HEIGHT - 2 - (HEIGHT - 6) * (y / top)).toFixed(1)}`;
      };
      line.path.setAttribute("points", line.points.map(at).join(" "));
      const last = line.points.at(-1)?.[1];
      line.key.textContent =
        `${line.name} ${last === undefined ? "–" : last.toFixed(this.digits)}`;
    }
    const said = this.lines.map(({ key }) => key.textContent).join(", ");
    this.svg.setAttribute("aria-label", `${this.title_}, the last two minutes; now ${said}`);
  }
}

// The next 1, 2 or 5 times a power of ten.
function rounded(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999) ?? 1;
}

customElements.define("line-plot", LinePlot);
