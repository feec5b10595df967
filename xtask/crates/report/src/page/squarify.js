"use strict";

/**
 * A squarified treemap (Bruls, Huizing and van Wijk, 2000): a rectangle for each of `sizes`, which are positive and in
 * descending order. The rectangles have areas in proportion, fill the given one, and do not overlap.
 */
function squarify(sizes, x, y, width, height) {
  const scale = (width * height) / sizes.reduce((sum, size) => sum + size, 0);
  const rectangles = [];
  let start = 0;
  while (start < sizes.length) {
    // A row along the shorter side takes parts for as long as the worst of them does not become slimmer.
    const side = Math.min(width, height);
    let end = start;
    let area = 0;
    let worst = Infinity;
    while (end < sizes.length) {
      const next = area + sizes[end] * scale;
      const slimmest = Math.max(
        (side * side * sizes[start] * scale) / (next * next),
        (next * next) / (side * side * sizes[end] * scale),
      );
      if (slimmest > worst) break;
      worst = slimmest;
      area = next;
      end += 1;
    }
    // Rounding may leave nothing to the very last and very small.
    end = Math.max(end, start + 1);
    const depth = side > 0 ? Math.min(area / side, Math.max(width, height)) : 0;
    const across = width >= height;
    let along = 0;
    for (; start < end; start += 1) {
      const length = depth > 0 ? (sizes[start] * scale) / depth : 0;
      rectangles.push(
        across
          ? { x, y: y + along, width: depth, height: length }
          : { x: x + along, y, width: length, height: depth },
      );
      along += length;
    }
    if (across) {
      x += depth;
      width = Math.max(0, width - depth);
    } else {
      y += depth;
      height = Math.max(0, height - depth);
    }
  }
  return rectangles;
}
