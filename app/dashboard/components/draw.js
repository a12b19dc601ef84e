// Draws tables and tiles from plain data. Text goes in as text nodes only, so no value can become markup.
const SVG = "http://www.w3.org/2000/svg";

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined && text !== null) node.textContent = text;
  return node;
}

function spark(values, width, height, tone) {
  const known = values.filter((value) => value !== null);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "spark ink-" + (tone || "accent"));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", "100%");
  svg.setAttribute("height", height);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  if (known.length < 2) return svg;
  const low = Math.min(...known), high = Math.max(...known), room = high - low || 1;
  const step = width / Math.max(1, values.length - 1);
  let path = "", pen = false, last = null;
  values.forEach((value, index) => {
    if (value === null) { pen = false; return; }
    const x = index * step, y = height - 3 - ((value - low) / room) * (height - 6);
    path += `${pen ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`;
    pen = true; last = [x, y];
  });
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  line.setAttribute("fill", "none");
  line.setAttribute("stroke", "currentColor");
  line.setAttribute("stroke-width", "1.6");
  line.setAttribute("vector-effect", "non-scaling-stroke");
  line.setAttribute("stroke-linejoin", "round");
  svg.append(line);
  return svg;
}

function press(node, act) {
  node.tabIndex = 0;
  node.addEventListener("click", act);
  node.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(); }
  });
}

function cellOf(column, cell) {
  const td = make("td", [column.right ? "right num" : "", column.wide ? "wide" : "", column.tight ? "tight" : "", column.first ? "first" : ""].join(" ").trim());
  const value = cell && typeof cell === "object" ? cell : { text: cell };
  if (value.bar !== undefined && value.bar !== null) {
    const meter = make("div", column.right ? "meter" : "meter left");
    const track = make("span", "track"), fill = make("i", "fill-" + (value.tone || ""));
    fill.style.width = `${Math.max(0, Math.min(1, value.bar)) * 100}%`;
    track.append(fill);
    meter.append(track, make("span", "num", value.text));
    td.append(meter);
  } else if (value.spark) {
    td.append(spark(value.spark, 90, 22, value.tone));
  } else if (value.chip) {
    td.append(make("span", "chip " + (value.tone || ""), value.text));
  } else {
    td.append(make("span", value.tone ? "ink-" + value.tone : "", value.text));
  }
  if (value.sub) td.append(make("span", "sub", value.sub));
  return td;
}

function drawRows(root, data, send) {
  const frame = make("div", "frame"), table = make("table");
  if (data.label) table.setAttribute("aria-label", data.label);
  const head = make("tr");
  for (const column of data.columns) {
    const th = make("th", [column.right ? "right" : "", column.wide ? "wide" : "", data.sort && data.sort === column.sort ? "sorted" : ""].join(" ").trim());
    if (column.width) th.style.width = column.width;
    if (column.sort) {
      const button = make("button", "", column.label + (data.sort === column.sort ? (data.descending ? " ↓" : " ↑") : ""));
      press(button, () => send("sorted", column.sort));
      th.append(button);
    } else th.textContent = column.label;
    head.append(th);
  }
  const thead = make("thead"); thead.append(head);
  const body = make("tbody");
  for (const row of data.rows) {
    const tr = make("tr", (row.id && data.open ? "open " : "") + (row.chosen ? "chosen" : ""));
    data.columns.forEach((column, index) => tr.append(cellOf(column, row.cells[index])));
    if (row.id && data.open) {
      tr.setAttribute("role", "link");
      press(tr, () => send("opened", row.id));
    }
    body.append(tr);
  }
  table.append(thead, body);
  frame.append(table);
  if (!data.rows.length) frame.append(make("div", "nothing", data.nothing || "Nothing to show."));
  root.append(frame);
}

function drawTiles(root, data, send) {
  const grid = make("div", "tiles " + (data.size || ""));
  for (const item of data.tiles) {
    const tile = make("div", "tile" + (item.id && data.open ? " open" : "") + (item.chosen ? " chosen" : ""));
    const name = make("span", "name");
    if (item.tone) {
      const dot = make("span", "dot " + item.tone);
      dot.title = item.tone_text || "";
      name.append(dot);
    }
    name.append(make("b", "", item.label));
    const value = make("span", "value", item.value);
    if (item.unit) value.append(make("small", "", item.unit));
    tile.append(name, value);
    if (item.goal !== undefined && item.goal !== null) {
      const goal = make("div", "goal"), fill = make("i", "fill-" + (item.tone || ""));
      fill.style.width = `${Math.max(0, Math.min(1, item.goal)) * 100}%`;
      goal.append(fill); tile.append(goal);
    }
    if (item.note) tile.append(make("span", "note", item.note));
    if (item.spark) { const line = make("div", "line"); line.append(spark(item.spark, 120, 26, "accent")); tile.append(line); }
    if (item.id && data.open) {
      tile.setAttribute("role", "link");
      if (item.hint) tile.title = item.hint;
      press(tile, () => send("opened", item.id));
    }
    grid.append(tile);
  }
  root.append(grid);
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const board = parentElement.querySelector(".board");
  board.replaceChildren();
  (data.kind === "tiles" ? drawTiles : drawRows)(board, data, (name, value) => setTriggerValue(name, value));
}
