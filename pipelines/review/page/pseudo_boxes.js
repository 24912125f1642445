// Pseudo-boxes as pipelines/boxes/pseudo_boxes.py makes them (Eq. 9–11), fast enough to follow a finger.
//
// The map is upsampled as OpenCV does it (bilinear, half-pixel centres, float32), but never as a whole: along a
// row of pixels the values between two cells of the map are linear, so a row is known by its ends and by where
// it crosses the threshold. A test compares the boxes with Python's.
"use strict";

const float = Math.fround;

/** For each pixel of a side the cell before it (`cell`) and the weight of the next one (`next`), as cv2.resize. */
function samplePositions(pixels, cells) {
  const cell = new Int32Array(pixels), next = new Float32Array(pixels);
  const scale = cells / pixels;
  for (let pixel = 0; pixel < pixels; pixel++) {
    const place = float((pixel + 0.5) * scale - 0.5);
    const before = Math.floor(place);
    if (before >= 0 && before < cells - 1) {
      cell[pixel] = before;
      next[pixel] = float(place - before);
    } else {
      cell[pixel] = before < 0 ? 0 : cells - 1;
    }
  }
  return { cell, next };
}

/** Spans [first, last] of pixels that share a cell, so that a row is linear within each. */
function spans(cell) {
  const found = [];
  let first = 0;
  for (let pixel = 1; pixel <= cell.length; pixel++) {
    if (pixel === cell.length || cell[pixel] !== cell[first]) {
      found.push([first, pixel - 1]);
      first = pixel;
    }
  }
  return found;
}

const positionsCache = new Map();

function positions(pixels, cells) {
  const key = `${pixels}/${cells}`;
  if (!positionsCache.has(key)) {
    if (positionsCache.size > 256) positionsCache.clear();
    const at = samplePositions(pixels, cells);
    positionsCache.set(key, { ...at, spans: spans(at.cell) });
  }
  return positionsCache.get(key);
}

/**
 * The 8-connected regions of {M ≥ threshold} on the upsampled map.
 * Each has x0, y0, x1, y1 (exclusive), area in pixels and peak, the highest value inside.
 */
function regions(map, rows, columns, width, height, threshold) {
  const limit = float(threshold);
  const cold = limit - 1e-6 * Math.max(1, Math.abs(limit)); // cells below it give no pixel, rounding included
  const across = positions(width, columns), down = positions(height, rows);
  const parent = [], found = [];

  function root(label) {
    while (parent[label] !== label) {
      parent[label] = parent[parent[label]];
      label = parent[label];
    }
    return label;
  }

  function join(a, b) {
    a = root(a);
    b = root(b);
    if (a === b) return a;
    if (b < a) [a, b] = [b, a];
    parent[b] = a;
    const into = found[a], from = found[b];
    into.x0 = Math.min(into.x0, from.x0);
    into.x1 = Math.max(into.x1, from.x1);
    into.y0 = Math.min(into.y0, from.y0);
    into.y1 = Math.max(into.y1, from.y1);
    into.area += from.area;
    into.peak = Math.max(into.peak, from.peak);
    return a;
  }

  let above = []; // runs of the row before: [first, last, label]
  for (let y = 0; y < height; y++) {
    const upper = down.cell[y] * columns, lower = Math.min(down.cell[y] + 1, rows - 1) * columns;
    const fy = down.next[y], gy = float(1 - fy);
    let hot = false;
    for (let x = 0; x < columns && !hot; x++) hot = map[upper + x] >= cold || map[lower + x] >= cold;
    if (!hot) {
      above = [];
      continue;
    }

    const value = (x) => {
      const c = across.cell[x], n = c + 1 < columns ? c + 1 : c;
      const fx = across.next[x], gx = float(1 - fx);
      const a = float(float(map[upper + c] * gx) + float(map[upper + n] * fx));
      const b = float(float(map[lower + c] * gx) + float(map[lower + n] * fx));
      return float(float(a * gy) + float(b * fy));
    };

    const runs = []; // [first, last, peak]
    const add = (first, last, peak) => {
      const before = runs[runs.length - 1];
      if (before !== undefined && before[1] === first - 1) {
        before[1] = last;
        before[2] = Math.max(before[2], peak);
      } else {
        runs.push([first, last, peak]);
      }
    };
    for (const [first, last] of across.spans) {
      const c = across.cell[first], n = c + 1 < columns ? c + 1 : c;
      if (map[upper + c] < cold && map[upper + n] < cold && map[lower + c] < cold && map[lower + n] < cold) continue;
      const left = value(first), right = value(last);
      if (left >= limit && right >= limit) {
        add(first, last, Math.max(left, right));
      } else if (left >= limit || right >= limit) {
        // Where the line crosses, to a pixel; then stepped to the very pixel.
        let x = first + Math.floor(((limit - left) / (right - left)) * (last - first));
        x = Math.min(Math.max(x, first), last);
        if (left >= limit) {
          while (x > first && value(x) < limit) x--;
          while (x < last && value(x + 1) >= limit) x++;
          add(first, x, left);
        } else {
          while (x < last && value(x) < limit) x++;
          while (x > first && value(x - 1) >= limit) x--;
          add(x, last, right);
        }
      }
    }

    const row = [];
    let start = 0;
    for (const [first, last, peak] of runs) {
      const label = parent.length;
      parent.push(label);
      found.push({ x0: first, y0: y, x1: last + 1, y1: y + 1, area: last - first + 1, peak });
      while (start < above.length && above[start][1] < first - 1) start++;
      for (let k = start; k < above.length && above[k][0] <= last + 1; k++) join(label, above[k][2]);
      row.push([first, last, label]);
    }
    above = row;
  }
  return found.filter((_, label) => parent[label] === label);
}

/**
 * The pseudo-boxes of one image, best first: [{x0, y0, x1, y1, score}].
 * `image`: {map (Float32Array, rows × columns), rows, columns, width, height, score}; `settings`: {threshold, delta, topK,
 * nmsIou, minArea}, minArea null for the released code's rule.
 */
function pseudoBoxes(image, settings) {
  if (image.score < settings.delta) return [];
  const { width, height } = image;
  const smallest =
    settings.minArea ?? Math.max(Math.floor(height / 100) * Math.floor(width / 100), 10);
  const found = regions(image.map, image.rows, image.columns, width, height, settings.threshold)
    .filter((region) => region.area >= smallest)
    .sort((a, b) => b.peak - a.peak || a.y0 - b.y0 || a.x0 - b.x0)
    .slice(0, settings.topK);
  const kept = [];
  for (const box of found) {
    // Doubles, as pipelines/boxes/suppression.py: an overlap of exactly the limit keeps both.
    const clear = (other) => overlap(cornersOf(other), cornersOf(box)) <= settings.nmsIou;
    if (kept.every(clear)) kept.push(box);
  }
  return kept.map(({ x0, y0, x1, y1, peak }) => ({ x0, y0, x1, y1, score: peak }));
}

function cornersOf({ x0, y0, x1, y1 }) {
  return [x0, y0, x1, y1];
}

/** Intersection over union of corners [x0, y0, x1, y1], as pipelines/review/decisions.py has it. */
function overlap(a, b) {
  const w = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0]));
  const h = Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  const shared = w * h;
  const union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared;
  return union > 0 ? shared / union : 0;
}

/** The decision ({box, verdict}) that holds for a box, or null; `sameBox` is the least overlap. */
function decisionOn(corners, decided, sameBox) {
  let best = sameBox, found = null;
  for (const each of decided) {
    const iou = overlap(corners, each.box);
    if (iou >= best) {
      best = iou;
      found = each;
    }
  }
  return found;
}
