
(() => {
  const element = (id) => document.getElementById(id);

  // --- Colours: kept for the next visit where the browser lets us.
  const themes = [...document.querySelectorAll("input[name=theme]")];
  const storage = {
    get: () => { try { return localStorage.getItem("theme"); } catch { return null; } },
    set: (value) => { try { localStorage.setItem("theme", value); } catch { /* not kept, then */ } },
  };
  const setTheme = (value) => {
    document.documentElement.dataset.theme = value;
    for (const radio of themes) radio.checked = radio.value === value;
  };
  if (themes.some((radio) => radio.value === storage.get())) setTheme(storage.get());
  for (const radio of themes) {
    radio.addEventListener("change", () => { setTheme(radio.value); storage.set(radio.value); });
  }

  // --- Charts that can be chosen.
  for (const select of document.querySelectorAll("select[data-choice]")) {
    const charts = document.querySelectorAll(`[data-chosen="${select.dataset.choice}"]`);
    const show = () => charts.forEach((chart, index) => { chart.hidden = index !== select.selectedIndex; });
    select.addEventListener("change", show);
    show();
  }

  // --- The treemap.
  if (!element("explorer")) return;
  const data = JSON.parse(element("data").textContent);
  const [map, table, parts, path, detail] = ["map", "table", "parts", "path", "detail"].map(element);
  /** Below this area in square pixels, a part is shown together with all that are smaller; where all are, the first few
   * are not. */
  const LEAST_AREA = 500;
  const FIRST = 24;
  /** What is shown inside a part: how deep, from what area on, and how many at most. */
  const DEPTH = 4;
  const LEAST_INNER = 40;
  const MOST_INNER = 800;
  const TILES = 8;

  const number = new Intl.NumberFormat("en");
  const mib = (bytes) => {
    if (bytes >= 1 << 20) return `${(bytes / (1 << 20)).toFixed(2)} MiB`;
    if (bytes >= 1 << 10) return `${(bytes / (1 << 10)).toFixed(1)} KiB`;
    return `${bytes} B`;
  };
  const share = (bytes, whole) => `${(whole > 0 ? (100 * bytes) / whole : 0).toFixed(1)} %`;

  const node = ([name, bytes, kind, children]) => ({ name, bytes, kind: data.kinds[kind], raw: children });
  /** The parts of a node, largest first; what they do not add up to is one of them. */
  const partsOf = (of) => {
    if (!of.parts) {
      of.parts = (of.raw || []).map(node);
      const rest = of.bytes - of.parts.reduce((sum, part) => sum + part.bytes, 0);
      if (of.parts.length > 0 && rest > 0) of.parts.push({ name: "(the rest)", bytes: rest, kind: of.kind });
      of.parts.sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1));
    }
    return of.parts;
  };
  const opens = (of) => partsOf(of).length > 0;

  /** What a part comes to where each has but one part: a layer of one component of one file is that file. */
  const alone = (of) => {
    let last = of;
    while (partsOf(last).length === 1 && opens(partsOf(last)[0])) [last] = partsOf(last);
    return last;
  };

  /** The parts that can be seen in so many square pixels. */
  const visible = (of, area) => {
    const all = partsOf(of).filter((part) => part.bytes > 0);
    const whole = all.reduce((sum, part) => sum + part.bytes, 0);
    const count = all.filter((part) => (part.bytes / whole) * area >= LEAST_AREA).length;
    const large = all.slice(0, count || FIRST);
    const small = all.slice(large.length);
    if (small.length < 2) return all;
    const bytes = small.reduce((sum, part) => sum + part.bytes, 0);
    const more = { name: `${number.format(small.length)} smaller`, bytes, kind: "parts", parts: small };
    return [...large, more].sort((a, b) => b.bytes - a.bytes);
  };

  /** The same name has the same colour everywhere. */
  const tone = (name) => {
    let hash = 7;
    for (const char of name) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
    return `tile-${((hash ^ (hash >>> 15)) >>> 0) % TILES}`;
  };

  const make = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const place = (made, { x, y, width, height }, gap) => {
    Object.assign(made.style, {
      left: `${x}px`,
      top: `${y}px`,
      width: `${Math.max(0, width - gap)}px`,
      height: `${Math.max(0, height - gap)}px`,
    });
  };
  /** The last part of a path says most where there is little room; all of it is in the label. */
  const short = (name, width) => {
    const last = name.split("/").pop();
    return width < name.length * 7 && last ? last : name;
  };

  let trail = [];
  const here = () => trail[trail.length - 1];
  const words = (of) => {
    const inside = opens(of) ? `, ${number.format(partsOf(of).length)} parts` : "";
    return `${of.name}, ${of.kind}, ${mib(of.bytes)}, ${share(of.bytes, trail[0].bytes)} of the image${inside}`;
  };

  const tile = (of, box) => {
    const button = make("button", `tile ${tone(of.name)}`);
    button.type = "button";
    button.tabIndex = -1;
    button.of = of;
    button.setAttribute("aria-label", words(of));
    place(button, box, 2);
    if (box.width > 44 && box.height > 22) {
      const name = make("span", "name", short(of.name, box.width - 12));
      const size = make("span", "size", mib(of.bytes));
      const wide = box.width > 200;
      button.append(name);
      if (wide) name.append(" ", size);
      else if (box.height > 42 && box.width > 56) button.append(size);
      if (opens(of)) {
        const top = wide ? 24 : 42;
        nest(of, { x: 4, y: top, width: box.width - 9, height: box.height - top - 6 }, button, DEPTH);
      }
    }
    if (opens(of)) button.classList.add("opens");
    return button;
  };

  /** What is inside a tile, and inside of that: to be seen, not to be chosen. */
  const nest = (of, box, into, depth) => {
    if (box.width < 40 || box.height < 20) return;
    const shown = partsOf(of).filter((part) => part.bytes > 0);
    const boxes = squarify(shown.map((part) => part.bytes), box.x, box.y, box.width, box.height);
    for (const [index, part] of shown.entries()) {
      const { x, y, width, height } = boxes[index];
      if (width * height < LEAST_INNER || into.childElementCount > MOST_INNER) return;
      const last = alone(part);
      const span = make("span", `inner ${tone(last.name)}`);
      span.of = last;
      span.ariaHidden = "true";
      place(span, boxes[index], 1);
      into.append(span);
      if (width < 46 || height < 18) continue;
      span.textContent = short(last.name, width - 8);
      if (depth > 1 && opens(last)) {
        nest(last, { x: x + 3, y: y + 18, width: width - 7, height: height - 22 }, into, depth - 1);
      }
    }
  };

  const draw = (focused) => {
    const { clientWidth: width, clientHeight: height } = map;
    const shown = visible(here(), width * height);
    const boxes = squarify(shown.map((part) => part.bytes), 0, 0, width, height);
    map.replaceChildren(...shown.map((part, index) => tile(part, boxes[index])));
    if (shown.length === 0) map.append(make("p", "", "It has no parts."));
    const chosen = [...map.children].find((button) => button.of && button.of === focused) || map.firstChild;
    if (chosen.of) chosen.tabIndex = 0;
    return chosen;
  };

  const drawPath = () => {
    path.replaceChildren(
      ...trail.map((of, index) => {
        const item = make("li");
        const last = index === trail.length - 1;
        const step = make(last ? "span" : "button", "", of.name);
        if (last) step.setAttribute("aria-current", "location");
        else {
          step.type = "button";
          step.addEventListener("click", () => leave(index));
        }
        item.append(step);
        return item;
      }),
    );
  };

  const drawTable = () => {
    const rows = partsOf(here()).map((of) => {
      const row = make("tr");
      const head = make("th");
      head.scope = "row";
      if (opens(of)) {
        const button = make("button", "", of.name);
        button.type = "button";
        button.addEventListener("click", () => enter(of));
        head.append(button);
      } else head.textContent = of.name;
      row.append(head, make("td", "", of.kind));
      const figures = [number.format(of.bytes), (of.bytes / (1 << 20)).toFixed(3), share(of.bytes, trail[0].bytes)];
      row.append(...figures.map((figure) => make("td", "number", figure)));
      return row;
    });
    parts.replaceChildren(...rows);
  };

  const tell = (of) => {
    const [image, parent] = [trail[0], here()];
    let text = ` ${of.kind}, ${mib(of.bytes)} (${number.format(of.bytes)} bytes)`;
    if (of !== image) text += `: ${share(of.bytes, image.bytes)} of the image`;
    if (of !== parent && parent !== image) text += `, ${share(of.bytes, parent.bytes)} of ${parent.name}`;
    detail.replaceChildren(make("strong", "", of.name), text);
  };

  /** Redraws everything. The focus goes with it, if it was in what is drawn. */
  const update = (focused) => {
    const had = ["map", "table", "path"].find((id) => element(id).contains(document.activeElement));
    const chosen = draw(focused);
    drawPath();
    drawTable();
    tell(here());
    element("said").textContent = words(here());
    if (!had) return;
    if (table.hidden) chosen.focus({ preventScroll: true });
    else (parts.querySelector("button") || table).focus({ preventScroll: true });
  };
  const enter = (of) => {
    if (!opens(of)) return;
    const last = alone(of);
    for (let step = of; ; [step] = partsOf(step)) {
      trail.push(step);
      if (step === last) break;
    }
    update();
  };
  const leave = (index) => {
    const from = trail[index + 1];
    if (from) { trail = trail.slice(0, index + 1); update(from); }
  };

  /** The tile next to one in a direction: the nearest of those that begin beyond its edge. */
  const next = (from, key) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    const box = (button) => button.getBoundingClientRect();
    const a = box(from);
    const distance = (button) => {
      const b = box(button);
      const ahead = dx > 0 ? b.left - a.right : dx < 0 ? a.left - b.right : dy > 0 ? b.top - a.bottom : a.top - b.bottom;
      if (ahead < -1) return Infinity;
      const aside = dx === 0
        ? Math.max(0, b.left - a.right, a.left - b.right) * 4 + Math.abs(b.left - a.left) / 100
        : Math.max(0, b.top - a.bottom, a.top - b.bottom) * 4 + Math.abs(b.top - a.top) / 100;
      return ahead + aside;
    };
    let best = null;
    let least = Infinity;
    for (const button of map.children) {
      const found = button === from ? Infinity : distance(button);
      if (found < least) [best, least] = [button, found];
    }
    return best;
  };

  map.addEventListener("keydown", (event) => {
    const from = document.activeElement;
    if (!from.of || event.altKey || event.ctrlKey || event.metaKey) return;
    let to = null;
    if (event.key.startsWith("Arrow")) to = next(from, event.key);
    else if (event.key === "Home") to = map.firstChild;
    else if (event.key === "End") to = map.lastChild;
    else return;
    event.preventDefault();
    if (!to) return;
    from.tabIndex = -1;
    to.tabIndex = 0;
    to.focus({ preventScroll: true });
  });
  element("explorer").addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || trail.length < 2 || event.target.tagName === "SELECT") return;
    event.preventDefault();
    let index = trail.length - 2;
    while (index > 0 && partsOf(trail[index]).length === 1) index -= 1;
    leave(index);
  });
  map.addEventListener("click", (event) => { const on = event.target.closest(".tile"); if (on) enter(on.of); });
  for (const name of ["focusin", "pointerover"]) {
    map.addEventListener(name, (event) => { const on = event.target.closest(".inner, .tile"); if (on) tell(on.of); });
  }
  map.addEventListener("pointerleave", () => {
    const on = document.activeElement;
    tell(on && on.of ? on.of : here());
  });

  for (const radio of document.querySelectorAll("input[name=view]")) {
    radio.addEventListener("change", () => {
      table.hidden = radio.value !== "table";
      map.hidden = detail.hidden = !table.hidden;
      if (!map.hidden) draw();
    });
  }
  const image = element("image");
  const open = () => { trail = [node(data.images[image.selectedIndex])]; update(); };
  image.addEventListener("change", open);
  element("explorer").hidden = false;
  open();
  const extent = () => `${map.clientWidth} ${map.clientHeight}`;
  let drawn = extent();
  new ResizeObserver(() => {
    if (map.hidden || extent() === drawn) return;
    drawn = extent();
    const on = document.activeElement;
    const again = draw(on && on.of);
    if (on && on.of) again.focus({ preventScroll: true });
  }).observe(map);
})();
