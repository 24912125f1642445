// The review page: filters and orders the images, draws maps and boxes, and sends decisions to the server.
"use strict";

const MAPS_KEPT = 2000, CELLS_KEPT = 16e6, MAPS_AT_ONCE = 200, CHANGES_AT_ONCE = 200, SAVE_AFTER = 150,
  FILTER_AFTER = 300;
const VERDICTS = { accepted: "accepted", rejected: "rejected" };
// Six stops of the colour map "inferno".
const HEAT = [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];
const SVG = "http://www.w3.org/2000/svg";

const at = (id) => document.getElementById(id);
const figures = (value, digits = 3) => Number(value).toFixed(digits);
const counted = (value) => value.toLocaleString("en");

let gallery, images, settings, decisions, perPage;
let shown = []; // numbers of the images that fit the filter, in order
let page = 0, open = -1; // `open`: place in `shown` of the large view
const maps = new Map(); // number of an image to its map, oldest first
let tiles = []; // {number, element, ...layers} of the page

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// ---- What is decided

const queue = [];
let saving = null, saveTimer = 0;

function status(text, fault = false) {
  at("saved").textContent = text;
  at("saved").classList.toggle("fault", fault);
}

function send(change) {
  queue.push(change);
  status("Saving…");
  clearTimeout(saveTimer);
  saveTimer = setTimeout(save, SAVE_AFTER);
}

/** Everything that waits is sent; decisions stay in the queue until the server has written them. */
async function save() {
  clearTimeout(saveTimer);
  while (saving) await saving;
  if (!queue.length) return;
  saving = (async () => {
    const changes = queue.slice(0, CHANGES_AT_ONCE);
    const answer = await fetch("decisions", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(changes),
      keepalive: true,
    });
    if (!answer.ok) throw new Error(await answer.text());
    queue.splice(0, changes.length);
  })();
  try {
    await saving;
    saving = null;
    if (queue.length) await save();
    else status("All decisions are saved.");
  } catch (error) {
    saving = null;
    status(`Not saved (${error.message}); trying again.`, true);
    saveTimer = setTimeout(save, 3000);
  }
}

function verdictOn(kind, number) {
  return (kind === "image" ? decisions.images : decisions.references)[images.id[number]] ?? null;
}

/** The same verdict again takes it back. */
function decide(kind, number, verdict) {
  const id = images.id[number], verdicts = kind === "image" ? decisions.images : decisions.references;
  const next = verdicts[id] === verdict ? null : verdict;
  if (next === null) delete verdicts[id];
  else verdicts[id] = next;
  send({ image_id: id, kind, verdict: next });
  refresh(number);
}

function clearVerdicts(number) {
  for (const kind of ["image", "reference"]) {
    const verdict = verdictOn(kind, number);
    if (verdict !== null) decide(kind, number, verdict);
  }
}

function decideBox(number, corners, verdict) {
  const id = images.id[number], decided = decisions.boxes[id] ?? [];
  const before = decisionOn(corners, decided, gallery.same_box);
  let kept = decided;
  if (before !== null) {
    kept = kept.filter((each) => each !== before);
    send({ image_id: id, kind: "box", box: before.box, verdict: null });
  }
  if (before === null || before.verdict !== verdict) {
    kept = [...kept, { box: corners, verdict }];
    send({ image_id: id, kind: "box", box: corners, verdict });
  }
  if (kept.length) decisions.boxes[id] = kept;
  else delete decisions.boxes[id];
  refresh(number);
}

function isReference(number) {
  const verdict = verdictOn("reference", number);
  return verdict === "accepted" || (images.reference[number] === 1 && verdict !== "rejected");
}

function refresh(number) {
  for (const tile of tiles) {
    if (tile.number === number) {
      drawBadges(tile);
      drawBoxes(tile);
    }
  }
  if (open >= 0 && shown[open] === number) drawLarge();
  tellReferences();
}

// ---- Settings

function categoryDelta(category) {
  return settings.delta === "auto" ? gallery.categories[category].delta : settings.delta;
}

function boxesOf(number) {
  const map = maps.get(number);
  if (map === undefined) return null;
  const category = images.category[number];
  const image = {
    map, rows: images.rows[number], columns: images.columns[number],
    width: images.width[number], height: images.height[number], score: images.score[number],
  };
  return pseudoBoxes(image, {
    threshold: gallery.categories[category].mean_max - settings.c,
    delta: categoryDelta(category),
    topK: settings.top_k,
    nmsIou: settings.nms_iou,
    minArea: settings.min_area === "released" ? null : settings.min_area,
  });
}

function tellSettings() {
  at("c-value").textContent = figures(settings.c);
  at("delta-value").textContent = settings.delta === "auto" ? "auto" : figures(settings.delta);
  at("top-k-value").textContent = settings.top_k;
  at("nms-value").textContent = figures(settings.nms_iou, 2);
  const chosen = at("category").value;
  let anomalous = 0, total = 0;
  for (let n = 0; n < images.id.length; n++) {
    if (chosen !== "" && images.category[n] !== Number(chosen)) continue;
    total++;
    anomalous += images.score[n] >= categoryDelta(images.category[n]);
  }
  const part = `${counted(anomalous)} of ${counted(total)} images have a score of at least δ.`;
  const found = chosen === "" ? null : gallery.categories[Number(chosen)];
  at("thresholds").textContent = found === null
    ? part
    : `T = ${figures(found.mean_max)} − ${figures(settings.c)} = ${figures(found.mean_max - settings.c)}, ` +
      `δ = ${figures(categoryDelta(Number(chosen)))}. ${part}`;
  const changed = Object.keys(settings).filter((key) => settings[key] !== gallery.settings[key]);
  at("overrides").textContent = changed.length
    ? changed.map((key) => `boxes.${key}=${settings[key]}`).join(" ")
    : "These are the config's own.";
  at("reset").disabled = changed.length === 0;
}

function showSettings() {
  at("c").value = settings.c;
  at("delta-auto").checked = settings.delta === "auto";
  at("delta").disabled = settings.delta === "auto";
  if (settings.delta !== "auto") at("delta").value = settings.delta;
  at("top-k").value = settings.top_k;
  at("nms").value = settings.nms_iou;
  at("area-released").checked = settings.min_area === "released";
  at("area").disabled = settings.min_area === "released";
  if (settings.min_area !== "released") at("area").value = settings.min_area;
  tellSettings();
}

let waiting = false;

/** Redraws with the next frame, however many events come before it. */
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    tellSettings();
    tiles.forEach(drawBoxes);
    if (open >= 0) drawLarge();
  });
}

function setting(key, value) {
  settings[key] = value;
  if (key === "delta" && ["anomalous", "normal"].includes(at("state").value)) filter();
  if (AGREED.includes(at("truth").value)) {
    clearTimeout(filterTimer);
    filterTimer = setTimeout(filter, FILTER_AFTER);
  }
  redraw();
}

function listenToSettings() {
  const number = (id) => Number(at(id).value);
  at("c").addEventListener("input", () => setting("c", number("c")));
  at("delta").addEventListener("input", () => setting("delta", number("delta")));
  at("top-k").addEventListener("input", () => setting("top_k", number("top-k")));
  at("nms").addEventListener("input", () => setting("nms_iou", number("nms")));
  at("delta-auto").addEventListener("change", () => {
    setting("delta", at("delta-auto").checked ? "auto" : number("delta"));
    showSettings();
  });
  const area = () => {
    const asked = Math.max(0, Math.floor(number("area") || 0));
    setting("min_area", at("area-released").checked ? "released" : asked);
    at("area").disabled = at("area-released").checked;
  };
  at("area").addEventListener("input", area);
  at("area-released").addEventListener("change", area);
  at("reset").addEventListener("click", () => {
    settings = { ...gallery.settings };
    showSettings();
    filter();
  });
  at("overlay").addEventListener("change", applyLayers);
  at("boxes").addEventListener("change", applyLayers);
  at("labels").addEventListener("change", applyLayers);
  at("opacity").addEventListener("input", applyLayers);
}

function applyLayers() {
  document.body.classList.toggle("no-map", !at("overlay").checked);
  document.body.classList.toggle("no-boxes", !at("boxes").checked);
  document.body.classList.toggle("no-labels", !at("labels").checked);
  at("opacity-value").textContent = `${Math.round(at("opacity").value * 100)} %`;
  document.documentElement.style.setProperty("--opacity", at("opacity").value);
}

// ---- Filter and order

let byScore, byName, byPlace;

const AGREED = ["met", "missed", "false"]; // filters that need the boxes, and so the map, of every labelled image
let filterTimer = 0, asked = 0;

/** Which images agree with their labels in the asked way; the maps of all labelled images are fetched for it. */
async function agreed(kind) {
  const labelled = images.defects.flatMap((defects, n) => (defects === null ? [] : [n])), fitting = new Set();
  for (let first = 0; first < labelled.length; first += MAPS_AT_ONCE) {
    const part = labelled.slice(first, first + MAPS_AT_ONCE);
    await fetchMaps(part);
    for (const number of part) {
      const { met, wrong } = agreementOf(number, boxesOf(number));
      const fits = { met: met.length > 0 && !met.includes(-1), missed: met.includes(-1), false: wrong.includes(true) };
      if (fits[kind]) fitting.add(number);
    }
  }
  return fitting;
}

function agreementOf(number, found) {
  const kept = found.filter((box) => decisionOn(cornersOf(box), decisions.boxes[images.id[number]] ?? [], gallery.same_box)?.verdict !== "rejected");
  const { met, wrong } = agreement(kept.map(cornersOf), images.defects[number] ?? [], images.ignored[number]);
  return { met: met.map((place) => (place < 0 ? -1 : found.indexOf(kept[place]))), wrong };
}

/** A slower filter that was asked for before does not overwrite a later one. */
async function filter() {
  const mine = ++asked, kind = at("truth").value;
  let fitting = null;
  if (AGREED.includes(kind)) {
    at("count").textContent = "Comparing boxes with labels…";
    try {
      fitting = await agreed(kind);
    } catch (error) {
      status(`The server does not answer (${error.message}); is agssp view still running?`, true);
      return;
    }
    if (mine !== asked) return;
  }
  show(fitting);
}

function show(fitting) {
  const labelledAs = {
    "": () => true,
    defective: (n) => (images.defects[n] ?? []).length > 0,
    good: (n) => images.defects[n] !== null && images.defects[n].length === 0,
    unlabelled: (n) => images.defects[n] === null,
  }[at("truth").value] ?? ((n) => fitting.has(n));
  const category = at("category").value, state = at("state").value;
  const words = at("name").value.trim().toLowerCase();
  const least = at("score-least").value === "" ? -Infinity : Number(at("score-least").value);
  const most = at("score-most").value === "" ? Infinity : Number(at("score-most").value);
  const fits = {
    "": () => true,
    open: (n) => verdictOn("image", n) === null,
    accepted: (n) => verdictOn("image", n) === "accepted",
    rejected: (n) => verdictOn("image", n) === "rejected",
    boxes: (n) => decisions.boxes[images.id[n]] !== undefined,
    references: (n) => isReference(n) || verdictOn("reference", n) !== null,
    anomalous: (n) => images.score[n] >= categoryDelta(images.category[n]),
    normal: (n) => images.score[n] < categoryDelta(images.category[n]),
    "to-label": (n) => images.to_label[n] !== null,
  }[state];
  const order = at("order").value;
  const all = { name: byName, "to-label": byPlace }[order] ?? byScore;
  shown = all.filter((n) =>
    (category === "" || images.category[n] === Number(category)) &&
    images.score[n] >= least && images.score[n] <= most &&
    (words === "" || images.name[n].toLowerCase().includes(words)) && fits(n) && labelledAs(n));
  if (order === "low") shown.reverse();
  turn(0);
  tellSettings();
}

function orderImages() {
  const numbers = images.id.map((_, n) => n);
  byScore = [...numbers].sort((a, b) => images.score[b] - images.score[a] || a - b);
  const place = (n) => images.to_label[n]?.[0] ?? Infinity; // the others after them, by score
  byPlace = [...byScore].sort((a, b) => (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0));
  byName = numbers.sort((a, b) => (images.name[a] < images.name[b] ? -1 : images.name[a] > images.name[b] ? 1 : a - b));
}

// ---- The page of tiles

function pages() {
  return Math.max(1, Math.ceil(shown.length / perPage));
}

function turn(to, focus = null) {
  page = Math.min(Math.max(to, 0), pages() - 1);
  const numbers = shown.slice(page * perPage, (page + 1) * perPage);
  tiles = numbers.map(tile);
  at("grid").replaceChildren(...tiles.map((each) => each.element));
  at("empty").hidden = shown.length > 0;
  const first = shown.length ? page * perPage + 1 : 0;
  at("count").textContent = `${counted(first)}–${counted(page * perPage + numbers.length)} of ${counted(shown.length)} images`;
  at("page").value = page + 1;
  at("page").max = pages();
  at("pages").textContent = counted(pages());
  at("back").disabled = page === 0;
  at("on").disabled = page === pages() - 1;
  if (focus !== null) tiles[Math.min(focus, tiles.length - 1)]?.element.focus();
  return fill(numbers);
}

function layers(number, side, loading) {
  const image = make("img", { alt: "", decoding: "async", loading });
  const canvas = make("canvas", { width: images.columns[number], height: images.rows[number] });
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${images.width[number]} ${images.height[number]}`);
  drawing.setAttribute("preserveAspectRatio", "none");
  const element = make("span", { class: "layers" }, image, canvas, drawing);
  element.style.setProperty("--ratio", images.width[number] / images.height[number]);
  image.addEventListener("error", () => element.classList.add("gone"));
  image.src = `image/${images.id[number]}?side=${side}`;
  return { element, canvas, drawing };
}

function tile(number) {
  const parts = layers(number, 320, "eager");
  const badges = make("span", { class: "badges" });
  const name = make("b", {}, make("bdi"));
  name.firstChild.textContent = images.name[number].split("/").at(-1);
  const category = make("span"), score = make("span"), boxes = make("span"), truth = make("span");
  category.textContent = gallery.categories[images.category[number]].category;
  score.textContent = `A ${figures(images.score[number])}`;
  const element = make(
    "button", { type: "button", class: "tile" },
    make("span", { class: "picture" }, parts.element),
    make("span", { class: "facts" }, name,
      make("span", { class: "line" }, category, score), make("span", { class: "line" }, boxes), make("span", { class: "line" }, truth)),
    badges,
  );
  element.title = images.name[number];
  const made = { number, element, badges, boxes, truth, canvas: parts.canvas, drawing: parts.drawing };
  element.addEventListener("click", () => enlarge(shown.indexOf(number)));
  drawBadges(made);
  return made;
}

function drawBadges({ number, element, badges }) {
  const verdict = verdictOn("image", number), reference = verdictOn("reference", number);
  const texts = [];
  if (verdict !== null) texts.push([VERDICTS[verdict], verdict]);
  if (isReference(number)) texts.push(["reference", "reference"]);
  else if (reference === "rejected") texts.push(["no reference", "plain"]);
  const chosen = images.to_label[number];
  if (chosen !== null) texts.push([`label ${chosen[0]}`, "plain", chosen[1]]);
  badges.replaceChildren(...texts.map(([text, kind, why]) => make("span", { class: `badge ${kind}`, title: why ?? "" }, text)));
  element.classList.toggle("rejected", verdict === "rejected");
}

async function fetchMaps(numbers) {
  const missing = numbers.filter((number) => !maps.has(number));
  if (!missing.length) return;
  const answer = await fetch(`maps?rows=${missing.join(",")}`);
  if (!answer.ok) throw new Error(await answer.text());
  const values = new Float32Array(await answer.arrayBuffer());
  let start = 0;
  for (const number of missing) {
    const end = start + images.rows[number] * images.columns[number];
    maps.set(number, values.slice(start, end));
    start = end;
  }
  let cells = 0;
  for (const map of maps.values()) cells += map.length;
  for (const [number, map] of maps) {
    if (maps.size <= MAPS_KEPT && cells <= CELLS_KEPT) break;
    if (numbers.includes(number)) continue;
    maps.delete(number);
    cells -= map.length;
  }
}

async function fill(numbers) {
  const mine = tiles;
  try {
    await fetchMaps(numbers);
    if (mine !== tiles) return; // another page is shown by now
    for (const each of mine) {
      drawMap(each);
      drawBoxes(each);
    }
    const next = shown.slice((page + 1) * perPage, (page + 2) * perPage);
    await fetchMaps(next);
    for (const number of next) new Image().src = `image/${images.id[number]}?side=320`;
  } catch (error) {
    status(`The server does not answer (${error.message}); is agssp view still running?`, true);
  }
}

const heatTable = Array.from({ length: 256 }, (_, level) => {
  const place = (level / 255) * (HEAT.length - 1), low = Math.min(Math.floor(place), HEAT.length - 2);
  return HEAT[low].map((value, channel) => value + (HEAT[low + 1][channel] - value) * (place - low));
});

/** The map from 0 to its category's mean maximum; the browser smooths it when it enlarges the canvas. */
function drawMap({ number, canvas }) {
  const map = maps.get(number);
  if (map === undefined) return;
  const highest = gallery.categories[images.category[number]].mean_max || 1;
  const pixels = new ImageData(images.columns[number], images.rows[number]);
  map.forEach((value, cell) => {
    const level = Math.round(255 * Math.min(Math.max(value / highest, 0), 1));
    pixels.data.set(heatTable[level], 4 * cell);
    pixels.data[4 * cell + 3] = Math.min(255, 1.6 * level); // what is normal stays clear
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function rectangle({ x0, y0, x1, y1 }, kind) {
  const rect = document.createElementNS(SVG, "rect");
  for (const [key, value] of Object.entries({ x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: kind })) {
    rect.setAttribute(key, value);
  }
  return rect;
}

function truthRectangles(number, { met }) {
  const box = ([x0, y0, x1, y1]) => ({ x0, y0, x1, y1 });
  const defects = (images.defects[number] ?? []).flatMap((defect, place) => [
    rectangle(box(defect), "truth shade"), rectangle(box(defect), `truth ${met[place] < 0 ? "missed" : "met"}`),
  ]);
  return [...images.ignored[number].map((region) => rectangle(box(region), "truth region")), ...defects];
}

function toldTruth(number, { met, wrong }) {
  if (images.defects[number] === null) return "no labels";
  const hit = met.filter((place) => place >= 0).length, extra = wrong.filter((each) => each).length;
  const parts = met.length ? [`${hit} of ${met.length} defects met`] : ["no labelled defect"];
  if (extra) parts.push(`${extra} false`);
  return parts.join(", ");
}

function drawBoxes(part) {
  const found = boxesOf(part.number);
  if (found === null) return;
  const decided = decisions.boxes[images.id[part.number]] ?? [];
  let rejected = 0;
  const drawn = [];
  for (const box of found) {
    const verdict = decisionOn(cornersOf(box), decided, gallery.same_box)?.verdict ?? "";
    rejected += verdict === "rejected";
    drawn.push(rectangle(box, `found shade ${verdict}`), rectangle(box, `found ${verdict}`));
  }
  const truth = agreementOf(part.number, found);
  part.drawing.replaceChildren(...truthRectangles(part.number, truth), ...drawn);
  part.truth.textContent = toldTruth(part.number, truth);
  const kept = found.length - rejected;
  const text = found.length === 0 ? "no box" : kept === 1 ? "1 box" : `${kept} boxes`;
  part.boxes.textContent = rejected ? `${text}, ${rejected} rejected` : text;
}

// ---- The large view

let largeParts = null;

async function enlarge(place) {
  if (place < 0 || place >= shown.length) return;
  open = place;
  const number = shown[place];
  largeParts = { number, ...layers(number, 1600, "eager") };
  at("large-picture").replaceChildren(largeParts.element);
  at("large-boxes").replaceChildren();
  if (!at("large").open) at("large").showModal();
  drawLarge();
  await fetchMaps([number]);
  if (open === place) {
    drawMap(largeParts);
    drawLarge();
  }
}

function drawLarge() {
  const number = shown[open], found = boxesOf(number) ?? [];
  const category = gallery.categories[images.category[number]];
  at("large-name").textContent = images.name[number];
  at("large-facts").textContent =
    `${category.category}, ${images.width[number]}×${images.height[number]}, score A ${figures(images.score[number])}, ` +
    `δ ${figures(categoryDelta(images.category[number]))}, T ${figures(category.mean_max - settings.c)}. ` +
    `Image ${counted(open + 1)} of ${counted(shown.length)}.` +
    (images.to_label[number] === null ? "" : ` To label: ${images.to_label[number].join(", ")}.`);
  for (const button of document.querySelectorAll("#large .verdict button")) {
    const kind = button.dataset.kind;
    button.setAttribute("aria-pressed", verdictOn(kind, number) === button.dataset.verdict);
  }
  const decided = decisions.boxes[images.id[number]] ?? [], drawn = [], rows = [];
  const size = Math.max(images.width[number], images.height[number]) / 36;
  found.forEach((box, place) => {
    const corners = cornersOf(box);
    const verdict = decisionOn(corners, decided, gallery.same_box)?.verdict ?? "";
    const label = document.createElementNS(SVG, "text");
    label.setAttribute("x", box.x0 + size / 4);
    label.setAttribute("y", box.y0 + size);
    label.style.fontSize = `${size}px`;
    label.style.strokeWidth = `${size / 5}px`;
    label.textContent = place + 1;
    label.setAttribute("class", "found");
    drawn.push(rectangle(box, `found shade ${verdict}`), rectangle(box, `found ${verdict}`), label);
    rows.push(boxRow(number, box, corners, verdict, place));
  });
  const truth = agreementOf(number, found);
  largeParts.drawing.replaceChildren(...truthRectangles(number, truth), ...drawn);
  const defects = images.defects[number];
  at("large-truth-title").hidden = at("large-truth").hidden = defects === null;
  at("large-truth").replaceChildren(...(defects ?? []).map(([x0, y0, x1, y1, label], place) => {
    const row = make("li", {}, make("bdi"));
    row.firstChild.textContent = label;
    const told = truth.met[place] < 0 ? "missed" : `met by box ${truth.met[place] + 1}`;
    row.append(` ${figures(x1 - x0, 0)}×${figures(y1 - y0, 0)} at ${figures(x0, 0)}, ${figures(y0, 0)} · ${maps.has(number) ? told : "…"}`);
    return row;
  }));
  if (defects !== null && !defects.length) at("large-truth").append(make("li", { class: "soft" }, "None: labelled as good."));
  const focused = document.activeElement?.dataset?.box;
  if (!rows.length) rows.push(make("li", { class: "soft" }, maps.has(number) ? "None with these settings." : "Loading…"));
  at("large-boxes").replaceChildren(...rows);
  if (focused) document.querySelector(`#large-boxes [data-box="${focused}"]`)?.focus();
  at("previous").disabled = open === 0;
  at("next").disabled = open === shown.length - 1;
}

function boxRow(number, box, corners, verdict, place) {
  const button = (kind, sign, name) => {
    const made = make("button", {
      type: "button", "data-verdict": kind, "data-box": `${place}-${kind}`, "aria-pressed": verdict === kind,
      "aria-label": `${name} box ${place + 1}`, title: name,
    }, sign);
    made.addEventListener("click", () => decideBox(number, corners, kind));
    return made;
  };
  return make(
    "li", { class: verdict },
    make("span", { class: "number" }, String(place + 1)),
    make("span", { class: "where" }, `${box.x1 - box.x0}×${box.y1 - box.y0} at ${box.x0}, ${box.y0} · ${figures(box.score)}`),
    button("accepted", "✓", "Accept"), button("rejected", "✗", "Reject"),
  );
}

function closeLarge() {
  const place = open;
  open = -1;
  largeParts = null;
  if (place < 0) return;
  const to = Math.floor(place / perPage);
  if (to !== page) turn(to, place % perPage);
  else tiles[place % perPage]?.element.focus();
}

// ---- References

function tellReferences() {
  const verdicts = Object.values(decisions.references);
  const accepted = verdicts.filter((verdict) => verdict === "accepted").length;
  const now = images.reference.reduce((sum, each) => sum + each, 0);
  at("references-count").textContent =
    `${counted(now)} in use; ${counted(accepted)} accepted and ${counted(verdicts.length - accepted)} rejected here. ` +
    "They take effect by lines in the config.";
}

async function showReferences() {
  await save();
  const answer = await fetch("references.yaml"), text = await answer.text();
  at("references").hidden = false;
  at("references").textContent = !answer.ok ? `Failed: ${text}` : text || "No decision changes the references.";
}

// ---- Keys

function focusedNumber() {
  if (open >= 0) return shown[open];
  const found = tiles.find((each) => each.element === document.activeElement);
  return found === undefined ? null : found.number;
}

function step(key) {
  const place = tiles.findIndex((each) => each.element === document.activeElement);
  if (place < 0) return false;
  const top = tiles[0].element.offsetTop;
  const columns = tiles.filter((each) => each.element.offsetTop === top).length;
  const to = place + { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
  if (to >= 0 && to < tiles.length) tiles[to].element.focus();
  else if (to < 0 && page > 0) turn(page - 1, perPage + to);
  else if (to >= tiles.length && page < pages() - 1) turn(page + 1, to - perPage);
  return true;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target, kind = target.tagName === "INPUT" ? target.type : target.tagName;
  if (["number", "search", "SELECT", "TEXTAREA"].includes(kind)) return;
  const key = event.key, number = focusedNumber();
  const toggle = (id) => {
    at(id).checked = !at(id).checked;
    applyLayers();
  };
  if (key.startsWith("Arrow")) {
    if (kind === "range") return;
    if (open >= 0) {
      if (key === "ArrowLeft") enlarge(open - 1);
      else if (key === "ArrowRight") enlarge(open + 1);
      else return;
    } else if (!step(key)) return;
  } else if (key === "m") toggle("overlay");
  else if (key === "b") toggle("boxes");
  else if (key === "l") toggle("labels");
  else if (key === "," && open < 0) turn(page - 1, 0);
  else if (key === "." && open < 0) turn(page + 1, 0);
  else if (number === null) return;
  else if (key === "a") decide("image", number, "accepted");
  else if (key === "x") decide("image", number, "rejected");
  else if (key === "r") decide("reference", number, "accepted");
  else if (key === "n") decide("reference", number, "rejected");
  else if (key === "u") clearVerdicts(number);
  else if (/^[1-9]$/.test(key)) {
    const box = (boxesOf(number) ?? [])[Number(key) - 1];
    if (box === undefined) return;
    decideBox(number, cornersOf(box), "rejected");
  } else return;
  event.preventDefault();
}

// ---- Start

function listen() {
  listenToSettings();
  for (const id of ["category", "state", "truth", "order"]) at(id).addEventListener("change", filter);
  for (const id of ["name", "score-least", "score-most"]) at(id).addEventListener("input", filter);
  at("all").addEventListener("click", () => {
    for (const id of ["category", "state", "truth", "name", "score-least", "score-most"]) at(id).value = "";
    filter();
  });
  at("back").addEventListener("click", () => turn(page - 1));
  at("on").addEventListener("click", () => turn(page + 1));
  at("page").addEventListener("change", () => turn((Number(at("page").value) || 1) - 1));
  at("previous").addEventListener("click", () => enlarge(open - 1));
  at("next").addEventListener("click", () => enlarge(open + 1));
  at("close").addEventListener("click", () => at("large").close());
  at("large").addEventListener("close", closeLarge);
  for (const button of document.querySelectorAll("#large .verdict button")) {
    button.addEventListener("click", () => decide(button.dataset.kind, shown[open], button.dataset.verdict));
  }
  at("references-show").addEventListener("click", showReferences);
  document.addEventListener("keydown", onKey);
  window.addEventListener("beforeunload", (event) => {
    if (!queue.length) return;
    save();
    event.preventDefault();
  });
}

async function start() {
  const answers = await Promise.all([fetch("gallery.json"), fetch("decisions")]);
  for (const answer of answers) if (!answer.ok) throw new Error(await answer.text());
  [gallery, decisions] = await Promise.all(answers.map((answer) => answer.json()));
  images = gallery.images;
  perPage = gallery.per_page;
  settings = { ...gallery.settings };
  const { project, workspace, maps: made } = gallery.about;
  document.title = `${project}: anomaly maps`;
  at("project").textContent = `${project}: anomaly maps`;
  const held = gallery.held_out ? `; ${counted(gallery.held_out)} held-out images are not shown` : "";
  at("about").textContent = `${counted(images.id.length)} pretraining images of ${workspace}/maps/${made}${held}`;
  at("category").append(make("option", { value: "" }, "all"));
  gallery.categories.forEach((each, place) => {
    at("category").append(make("option", { value: place }, `${each.category} (${counted(each.images)})`));
  });
  const scores = images.score, bound = (pick) => scores.reduce((a, b) => pick(a, b));
  const [lowest, highest] = [bound(Math.min), bound(Math.max)];
  at("delta").min = Math.floor(lowest * 100) / 100;
  at("delta").max = Math.ceil(highest * 100) / 100;
  at("c").max = Math.min(2, Math.max(settings.c, ...gallery.categories.map((each) => each.mean_max))).toFixed(2);
  at("score-least").placeholder = figures(lowest, 2);
  at("score-most").placeholder = figures(highest, 2);
  const labelled = images.defects.filter((defects) => defects !== null);
  const defective = labelled.filter((defects) => defects.length > 0);
  at("labelled").textContent = labelled.length
    ? `${counted(labelled.length)} images here have labels, ${counted(defective.length)} of them defects.`
    : "No image here has labels.";
  orderImages();
  if (images.to_label.some((each) => each !== null)) {
    for (const option of document.querySelectorAll('option[value="to-label"]')) option.hidden = false;
  }
  listen();
  showSettings();
  applyLayers();
  tellReferences();
  filter();
}

start().catch((error) => status(`The page can't be shown: ${error.message}`, true));
