// How pseudo-boxes agree with labelled defects, by the rule of `agssp tune thresholds`, which a test compares.
"use strict";

const MET_IOU = 0.5, IGNORED_SHARE = 0.5;

/** The share of a box that lies in another. */
function shareWithin(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]), height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const area = (a[2] - a[0]) * (a[3] - a[1]);
  return width > 0 && height > 0 && area > 0 ? (width * height) / area : 0;
}

/**
 * The best pseudo-box first, each takes the free defect that it overlaps most, by an IoU of at least 0.5.
 * `met`: for each defect the place of its pseudo-box or -1; `wrong`: for each pseudo-box whether it meets none and
 * does not lie in an ignored region by half or more.
 */
function agreement(found, defects, ignored) {
  const met = defects.map(() => -1);
  const wrong = found.map((box, place) => {
    let best = -1, most = MET_IOU;
    defects.forEach((defect, number) => {
      const iou = overlap(box, defect);
      if (met[number] < 0 && iou >= most && (best < 0 || iou > most)) [best, most] = [number, iou];
    });
    if (best >= 0) met[best] = place;
    return best < 0 && !ignored.some((region) => shareWithin(box, region) >= IGNORED_SHARE);
  });
  return { met, wrong };
}
