// The report's layers: plots, table, and what opening a layer shows. Data: the JSON in #data, null left out.

const data = JSON.parse(document.getElementById("data").textContent);
const layers = data.rows.map((layer, place) => ({ inputs: [], weights: [], nodes: [], cause: "", detail: "", reason: "", ...layer, place }));
const change = (layer) => (layer.int8_ms === undefined ? undefined : layer.int8_ms - layer.float_ms);

const COLUMNS = [
  { name: "#", key: (layer) => layer.place + 1, kind: "number wide" },
  { name: "layer", key: (layer) => layer.name, kind: "name" },
  { name: "operator", key: (layer) => layer.op, kind: "wide soft" },
  { name: "runs in", key: (layer) => layer.precision, kind: "wide" },
  { name: "local", key: (layer) => layer.local_db, kind: "number wide", show: decibels },
  { name: "cumulative", key: (layer) => layer.cumulative_db, kind: "number", show: decibels },
  { name: "float ms", key: (layer) => layer.float_ms, kind: "number wide", show: milliseconds, timed: true },
  { name: "int8 ms", key: (layer) => layer.int8_ms, kind: "number wide", show: milliseconds, timed: true },
  { name: "change ms", key: change, kind: "number", timed: true },
  { name: "cause", key: (layer) => layer.cause || layer.reason, kind: "cause wide" },
].filter((column) => data.runtime || !column.timed);

const FILTERS = {
  "all layers": () => true,
  "in int8": (layer) => layer.precision === "int8",
  "in float": (layer) => layer.precision === "float",
  "slower in int8": (layer) => data.runtime && isSlower(layer),
  "with a cause of error": (layer) => layer.cause,
};

const listing = document.getElementById("listing");
const dialog = document.getElementById("layer");
const search = document.getElementById("search");
const only = document.getElementById("only");
let order = { column: 0, up: true };
let shown = layers;

// Rows that pass the filters, in the order asked for; what is not known comes last.
function chosen() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (layer) => [layer.name, layer.op, layer.cause, layer.detail, layer.reason, layer.output].join(" ").toLowerCase();
  const key = COLUMNS[order.column].key;
  return layers
    .filter((layer) => FILTERS[only.value](layer) && words.every((word) => text(layer).includes(word)))
    .sort((a, b) => {
      const [left, right] = [key(a), key(b)];
      if (left === right) return a.place - b.place;
      if (left === undefined || left === "") return 1;
      if (right === undefined || right === "") return -1;
      return (left < right ? -1 : 1) * (order.up ? 1 : -1);
    });
}

function cell(column, layer) {
  const value = column.key(layer), kind = { class: column.kind || "" };
  if (column.name === "layer") return element("td", { ...kind, title: layer.name }, element("code", {}, layer.name), element("span", { class: "narrow soft small" }, `${layer.op} · ${layer.precision}`));
  if (column.name === "runs in") return element("td", kind, element("span", { class: `pill ${layer.precision}` }, value));
  if (column.name === "change ms") return element("td", { class: `${kind.class} ${isSlower(layer) ? "worse" : value < -0.01 ? "better" : ""}` }, `${value > 0 ? "+" : ""}${value.toFixed(3)}`);
  if (column.name === "cause") return element("td", kind, element("div", {}, layer.cause ? element("b", {}, `${layer.cause}${layer.detail ? ": " : ""}`) : null, layer.cause ? layer.detail : layer.reason));
  return element("td", kind, column.show ? column.show(value) : String(value));
}

function list() {
  shown = chosen();
  const rows = shown.map((layer) => {
    const row = element("tr", { tabindex: "0", "data-layer": layer.name }, ...COLUMNS.map((column) => cell(column, layer)));
    row.addEventListener("click", () => open(layer));
    row.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault(); // or it presses the button that has the focus next
      open(layer);
    });
    return row;
  });
  listing.tBodies[0].replaceChildren(...rows);
  document.getElementById("count").textContent = `${shown.length} of ${layers.length} layers`;
  [...listing.tHead.rows[0].cells].forEach((head, i) => {
    head.setAttribute("aria-sort", i !== order.column ? "none" : order.up ? "ascending" : "descending");
  });
}

function heads() {
  const cells = COLUMNS.map((column, i) => {
    const button = element("button", { type: "button" }, column.name);
    button.addEventListener("click", () => {
      order = { column: i, up: order.column === i ? !order.up : true };
      list();
    });
    return element("th", { class: column.kind || "", scope: "col" }, button);
  });
  listing.tHead.rows[0].replaceChildren(...cells);
  only.replaceChildren(...Object.keys(FILTERS).filter((name) => data.runtime || name !== "slower in int8").map((name) => element("option", {}, name)));
}

function facts(pairs) {
  const known = pairs.filter(([, value]) => value);
  return element("dl", {}, ...known.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function figure(drawing, name, role, caption) {
  return element("figure", {}, element("h3", {}, `${role} `, element("code", {}, name)), drawing, element("figcaption", {}, caption));
}

function tensorFigure(name, role) {
  const tensor = data.tensors[name];
  if (!tensor) return null;
  const seen = tensor.seen ? `; calibration saw ${number(tensor.seen[0])} to ${number(tensor.seen[1])}; clipped: ${share(tensor.clipped ?? 0)}` : "";
  const ends = (tensor.live || []).map((end, i) => (end === null ? "" : `${i ? "above" : "below"} ${number(end)}`)).filter(Boolean);
  const live = ends.length ? ` Whatever reads it takes all values ${ends.join(" and ")} for the same.` : "";
  const caption = `Codes hold ${number(tensor.range[0])} to ${number(tensor.range[1])}${seen}. ${tensor.dtype}, scale ${number(tensor.scale)}, zero point ${tensor.zero_point}${tensor.local_db === undefined ? "" : `, ${decibels(tensor.local_db)} alone`}.${live} Heights are logarithmic.`;
  return figure(tensor.bins ? histogram(tensor) : null, name, role, caption);
}

function weightFigure(name) {
  const weight = data.weights[name];
  if (!weight) return null;
  const scales = weight.limit.length > 1 ? "a scale for each channel" : "one scale";
  const grouped = weight.together > 1 ? `, ${weight.together} neighbouring ones in a bar` : "";
  const steps = weight.before ? " Orange: before the repair steps." : "";
  const caption = `Least to greatest weight of ${weight.channels} channels${grouped}; dashed: what the codes hold. ${weight.dtype}, ${scales}${weight.local_db === undefined ? "" : `, ${decibels(weight.local_db)}`}.${steps}`;
  return figure(channels(weight), name, "Weights", caption);
}

function open(layer) {
  const at = shown.indexOf(layer);
  const step = (name, to) => {
    const button = element("button", { type: "button", class: "plain", ...(to ? {} : { disabled: "" }) }, name);
    button.addEventListener("click", () => open(to));
    return button;
  };
  const close = element("button", { type: "button", class: "plain", "aria-label": "close", autofocus: "" }, "✕");
  close.addEventListener("click", () => dialog.close());
  const timed = data.runtime ? `${milliseconds(layer.float_ms)} ms in float, ${milliseconds(layer.int8_ms)} ms in the int8 model` : "";
  dialog.replaceChildren(
    element("header", {}, element("span", {}, `layer ${layer.place + 1} of ${layers.length}`), step("← before", shown[at - 1]), step("after →", shown[at + 1]), close),
    element("h2", {}, element("code", {}, layer.name)),
    element("p", {}, element("span", { class: `pill ${layer.precision}` }, layer.precision), ` ${layer.op}`),
    facts([
      ["in float, since", layer.reason],
      ["local", layer.local_db === undefined ? "" : decibels(layer.local_db)],
      ["cumulative", layer.cumulative_db === undefined ? "" : decibels(layer.cumulative_db)],
      ["cause", layer.cause ? `${layer.cause}${layer.detail ? `: ${layer.detail}` : ""}` : ""],
      ["time", timed],
      ["multiply-adds", layer.macs ? layer.macs.toLocaleString("en") : ""],
      ["with it", layer.nodes.slice(1).join(", ")],
    ]),
    ...[tensorFigure(layer.output, layer.op === "Input" ? "Input" : "Result"), ...layer.weights.map(weightFigure), ...layer.inputs.map((name) => tensorFigure(name, "Reads"))].filter(Boolean),
  );
  for (const row of listing.tBodies[0].rows) row.classList.toggle("open", row.dataset.layer === layer.name);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

// Plots follow the width of the page; a pointer over one shows the layer in both.
function plots() {
  const places = [["errors", errorPlot, data.samples], ["times", timePlot, data.runtime]];
  const drawn = [];
  for (const [id, draw, has] of places) {
    const place = document.getElementById(id);
    if (!place || !has) continue;
    const svg = draw(Math.max(300, place.clientWidth), layers), tip = element("div", { class: "tip", hidden: "" });
    place.replaceChildren(svg, tip);
    drawn.push(svg);
    const layerOf = (event) => {
      const box = svg.getBoundingClientRect();
      return svg.layerAt((event.clientX - box.left) / box.width);
    };
    svg.addEventListener("pointermove", (event) => {
      const i = layerOf(event);
      for (const other of drawn) other.pointAt(i);
      tip.hidden = i === null;
      if (i !== null) describe(tip, layers[i], event, place);
    });
    svg.addEventListener("pointerleave", () => {
      tip.hidden = true;
      for (const other of drawn) other.pointAt(null);
    });
    svg.addEventListener("click", (event) => layerOf(event) !== null && open(layers[layerOf(event)]));
  }
}

function describe(tip, layer, event, place) {
  const times = data.runtime ? `${milliseconds(layer.float_ms)} → ${milliseconds(layer.int8_ms)} ms` : "";
  const errors = [layer.local_db === undefined ? "" : `local ${decibels(layer.local_db)}`, layer.cumulative_db === undefined ? "" : `cumulative ${decibels(layer.cumulative_db)}`];
  tip.replaceChildren(element("b", {}, layer.name), element("div", { class: "soft" }, [`${layer.op} in ${layer.precision}`, ...errors, times].filter(Boolean).join(" · ")), layer.cause);
  const box = place.getBoundingClientRect(), at = event.clientX - box.left;
  tip.style.top = `${event.clientY - box.top + 14}px`;
  tip.style.left = `${Math.max(0, Math.min(at + 12, box.width - tip.offsetWidth))}px`;
}

heads();
list();
plots();
search.addEventListener("input", list);
only.addEventListener("input", list);
window.addEventListener("resize", () => requestAnimationFrame(plots));
