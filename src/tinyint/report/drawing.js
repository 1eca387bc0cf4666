// Drawings of the report, as inline SVG. Text is set as text, never as markup: names come from models.

const SVG = "http://www.w3.org/2000/svg";

function element(tag, attributes = {}, ...children) {
  const made = SHAPES.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const SHAPES = new Set(["svg", "g", "rect", "line", "path", "circle", "text"]);

const decibels = (value) => (value === undefined ? "–" : `${value.toFixed(1)} dB`);
const number = (value) => String(Number(value.toPrecision(4)));
const milliseconds = (value) => (value === undefined ? "–" : value.toFixed(value < 1 ? 3 : 2));

function share(value) {
  return value === 0 ? "none" : value < 0.0001 ? "< 0.01 %" : `${(100 * value).toFixed(2)} %`;
}

function frame(width, height, label) {
  return element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
}

function line(x1, y1, x2, y2, kind) {
  return element("line", { x1, y1, x2, y2, class: kind });
}

function rect(x, y, width, height, kind) {
  return element("rect", { x, y, width: Math.max(0, width), height: Math.max(0, height), class: kind });
}

function label(x, y, text, anchor = "start") {
  return element("text", { x, y, "text-anchor": anchor }, text);
}

// Round steps of an axis that ends at `top`.
function ticks(low, top, most) {
  const rough = (top - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= top + step / 1e6; at += step) found.push(Number(at.toPrecision(6)));
  return found;
}

const LEFT = 40;

// A plot over the layers in order: axis, bands where they run in float, and room for what `fill` draws.
function overLayers(width, height, layers, low, top, unit, name, fill) {
  const svg = frame(width, height, name);
  const floor = height - 4;
  const each = (width - LEFT) / layers.length;
  const x = (i) => LEFT + each * i;
  const y = (value) => floor - ((Math.min(Math.max(value, low), top) - low) / (top - low)) * (floor - 14);
  layers.forEach((layer, i) => layer.precision === "float" && svg.append(rect(x(i), 14, each + 0.3, floor - 14, "band")));
  for (const at of ticks(low, top, 4)) {
    svg.append(line(LEFT, y(at), width, y(at), "grid"), label(LEFT - 6, y(at) + 4, String(at), "end"));
  }
  svg.append(label(0, 10, unit));
  fill(svg, x, y, each);
  const cursor = line(0, 14, 0, floor, "cursor");
  cursor.setAttribute("visibility", "hidden");
  svg.append(cursor);
  svg.pointAt = (i) => {
    cursor.setAttribute("visibility", i === null ? "hidden" : "visible");
    if (i !== null) for (const end of ["x1", "x2"]) cursor.setAttribute(end, x(i) + each / 2);
  };
  svg.layerAt = (at) => {
    const i = Math.floor((at * width - LEFT) / each);
    return i >= 0 && i < layers.length ? i : null;
  };
  return svg;
}

// Errors: dots for a layer's own rounding, a line for all that has built up.
function errorPlot(width, layers) {
  const levels = layers.flatMap((layer) => [layer.local_db, layer.cumulative_db]).filter((db) => db !== undefined);
  const top = Math.min(70, Math.max(30, ...levels)), low = Math.min(0, ...levels);
  return overLayers(width, 230, layers, low, top, "dB", "SQNR of each layer, in order", (svg, x, y, each) => {
    svg.append(line(LEFT, y(20), width, y(20), "limit"));
    let path = "";
    layers.forEach((layer, i) => {
      if (layer.cumulative_db !== undefined) path += `${path ? "L" : "M"}${x(i) + each / 2} ${y(layer.cumulative_db)}`;
      if (layer.local_db === undefined) return;
      svg.append(element("circle", { cx: x(i) + each / 2, cy: y(layer.local_db), r: Math.min(3, Math.max(1.4, each / 3)), class: "dot" }));
    });
    svg.append(element("path", { d: path, class: "cumulative" }));
  });
}

const isSlower = (layer) => layer.int8_ms > 1.1 * layer.float_ms + 0.01;

// End of the axis: a few that take far more than the rest are cut, and say how long they take.
function timeAxis(layers) {
  const slow = layers.map((layer) => Math.max(layer.float_ms || 0, layer.int8_ms || 0)).sort((a, b) => b - a);
  const rest = slow[Math.floor(slow.length / 50)];
  return Math.max(0.001, slow[0] > 3 * rest ? 1.5 * rest : slow[0]);
}

// Times: a wide bar for float, and before it a slim one for int8.
function timePlot(width, layers) {
  const top = timeAxis(layers);
  return overLayers(width, 200, layers, 0, top, "ms", "Time of each layer, in order", (svg, x, y, each) => {
    layers.forEach((layer, i) => {
      const wide = Math.max(0.8, each * 0.86), slim = Math.max(0.8, each * 0.46), middle = x(i) + each / 2;
      const fast = layer.float_ms || 0, quick = layer.int8_ms || 0;
      svg.append(rect(middle - wide / 2, y(fast), wide, y(0) - y(fast), "b-float"));
      svg.append(rect(middle - slim / 2, y(quick), slim, y(0) - y(quick), isSlower(layer) ? "b-slow" : "b-int8"));
      if (Math.max(fast, quick) > top) svg.append(label(middle, 10, milliseconds(Math.max(fast, quick)), i > layers.length / 2 ? "end" : "start"));
    });
  });
}

const room = () => Math.min(580, Math.max(280, document.documentElement.clientWidth - 46));

// What calibration saw of a tensor, on a logarithmic scale, and the ends of what its codes hold.
function histogram(tensor) {
  const width = room(), height = 130, floor = height - 18, { start, width: bin, counts } = tensor.bins;
  const low = Math.min(start, tensor.range[0]), high = Math.max(start + bin * counts.length, tensor.range[1]);
  const pad = (high - low) * 0.03 || 1;
  const x = (value) => ((value - low + pad) / (high - low + 2 * pad)) * width;
  const top = Math.log1p(Math.max(...counts));
  const svg = frame(width, height, "Histogram of the values seen in calibration");
  const [least, most] = tensor.range, [from, to] = (tensor.live || []).map((end) => end ?? null);
  // Where readers take all values for the same, nothing is lost beyond the range.
  svg.append(rect(0, 4, x(least), floor - 4, from >= least && from !== null ? "band" : "beyond"));
  svg.append(rect(x(most), 4, width - x(most), floor - 4, to <= most && to !== null ? "band" : "beyond"));
  counts.forEach((count, i) => {
    const tall = (Math.log1p(count) / top) * (floor - 12);
    svg.append(rect(x(start + i * bin), floor - tall, Math.max(0.6, x(bin) - x(0) - 0.6), tall, "b-int8"));
  });
  svg.append(line(0, floor, width, floor, "grid"));
  tensor.range.forEach((end, i) => svg.append(line(x(end), 4, x(end), floor, "end"), label(x(end), height - 4, number(end), i && x(end) > 60 ? "end" : "start")));
  if (x(0) - x(least) > 60 && x(most) - x(0) > 60) svg.append(label(x(0), height - 4, "0", "middle"));
  return svg;
}

// Least and greatest weight of each channel, after and before the repair steps.
function channels(weight) {
  const width = room(), height = 130, middle = height / 2, { lo, hi } = weight.after;
  const parts = [weight.after, weight.before].filter(Boolean);
  const most = Math.max(1e-30, ...parts.flatMap((part) => [...part.lo, ...part.hi].map(Math.abs)), ...weight.limit);
  const y = (value) => middle - (value / most) * (middle - 8), each = (width - LEFT) / lo.length;
  const svg = frame(width, height, "Range of the weights in each channel");
  const bars = (part, wide, kind) => part.lo.forEach((low, i) => {
    svg.append(rect(LEFT + each * (i + (1 - wide) / 2), y(part.hi[i]), Math.max(0.6, each * wide), Math.max(0.6, y(low) - y(part.hi[i])), kind));
  });
  if (weight.before) bars(weight.before, 0.94, "before");
  bars(weight.after, weight.before ? 0.5 : 0.8, "b-int8");
  hi.forEach((_, i) => {
    const limit = weight.limit[i % weight.limit.length], from = LEFT + each * i;
    svg.append(line(from, y(limit), from + each, y(limit), "held"), line(from, y(-limit), from + each, y(-limit), "held"));
  });
  svg.append(line(LEFT, middle, width, middle, "zero"));
  for (const end of [most, -most]) svg.append(label(LEFT - 5, y(end) + 4, number(end), "end"));
  return svg;
}
