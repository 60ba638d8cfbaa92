"use strict";
(() => {
  // The data. What has no shape, or turns the direction of writing, is shown as
  // U+FFFD; everything else becomes text, never markup.
  const printable = text => text.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}]/gu, "\ufffd");
  const data = JSON.parse(document.getElementById("data").textContent,
    (key, value) => typeof value === "string" ? printable(value) : value);
  const { map, versions, colors } = data;
  const routers = map.routers || [], links = (map.links || []).map(l => ({ ...l, ends: l.ends || [] }));

  // Limits of what is shown at once, and sizes of letters.
  const maxHits = 200, maxLandmarks = 40, labelSize = 12, smallestLabel = 7;

  const $ = id => document.getElementById(id);
  const number = new Intl.NumberFormat("en");
  const plural = (n, one, many = one + "s") => `${number.format(n)} ${n === 1 ? one : many}`;

  // element makes one with properties and children; strings become text.
  function element(tag, properties = {}, ...children) {
    const e = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (key in e) e[key] = value;
      else e.setAttribute(key, value);
    }
    e.append(...children.flat(Infinity).filter(c => c !== null && c !== undefined && c !== ""));
    return e;
  }

  function drawing(viewBox, ...shapes) {
    const make = (tag, attributes) => {
      const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
      return e;
    };
    const svg = make("svg", { viewBox, "aria-hidden": "true" });
    for (const [tag, attributes] of shapes) svg.append(make(tag, attributes));
    return svg;
  }

  // ---- The model ----

  const routerAt = new Map(); // any address of a router -> its number
  routers.forEach((r, i) => (r.aliases || []).forEach(a => routerAt.set(a.address, i)));
  routers.forEach((r, i) => routerAt.set(r.address, i)); // wins over an alias

  const label = r => r.name || r.address;
  const versionOf = r => r.version ? `${r.version.major}.${r.version.minor}` : "";
  const versionName = v => v === "" ? "unknown" : v;
  const states = { answered: "answered", silent: "silent", not_asked: "not asked" };
  const colorOf = v => {
    const i = versions.indexOf(v);
    return colors[i < 0 ? colors.length - 1 : Math.min(i, colors.length - 1)];
  };

  const flagNames = ["tunnel", "srcrt", "pim", "querier", "disabled", "down", "leaf"];
  const flagColor = flag => colors[Math.max(0, flagNames.indexOf(flag)) % (colors.length - 1)];
  const flagsOf = r => {
    const found = new Set((r.interfaces || []).flatMap(i => i.flags || []));
    return [...found].sort((a, b) => flagNames.indexOf(a) - flagNames.indexOf(b));
  };
  const isDown = end => (end.flags || []).some(f => f === "down" || f === "disabled");

  const kinds = { point_to_point: "point-to-point", lan: "LAN", tunnel: "tunnel" };
  const linksOf = routers.map(() => []); // numbers of links
  links.forEach((l, i) => {
    for (const n of new Set(l.ends.map(e => routerAt.get(e.router)))) if (n !== undefined) linksOf[n].push(i);
  });

  // A router's groups of the legend.
  const groupsOf = routers.map(r => ({
    state: r.depth === 0 ? [r.state, "start"] : [r.state],
    version: r.state === "answered" ? [versionOf(r)] : [],
    flag: flagsOf(r),
  }));
  const linkGroups = links.map(l => [
    l.kind,
    ...(l.one_way && l.one_way.length ? ["one_way"] : []),
    ...(l.ends.some(isDown) ? ["down"] : []),
  ]);

  // ---- The map ----

  const elements = [];
  const sizeOf = i => Math.min(34, 17 + 3 * Math.sqrt(linksOf[i].length));
  routers.forEach((r, i) => {
    const flags = groupsOf[i].flag;
    const piece = {};
    flagNames.forEach((f, k) => { piece[`flag${k}`] = flags.includes(f) ? 100 / flags.length : 0; });
    elements.push({
      group: "nodes",
      data: {
        id: `r${i}`, router: i, size: sizeOf(i), color: r.state === "answered" ? colorOf(versionOf(r)) : "#888",
        label: label(r).length > 24 ? label(r).slice(0, 23) + "…" : label(r), ...piece,
      },
      position: { x: data.routers[i][0], y: data.routers[i][1] },
      classes: ["router", r.state, r.depth === 0 ? "start" : "", flags.length ? "flagged" : ""].join(" "),
    });
  });
  const pairs = new Map();
  links.forEach((l, i) => {
    const classes = end => ["link", l.kind, isDown(end) ? "down" : ""];
    const oneWay = l.one_way || [];
    const hub = data.hubs[i];
    if (hub) {
      elements.push({ group: "nodes", data: { id: `h${i}`, link: i }, position: { x: hub[0], y: hub[1] }, classes: "hub" });
      l.ends.forEach((end, k) => {
        const n = routerAt.get(end.router);
        if (n === undefined) return;
        const out = oneWay.some(o => o.from === end.router), back = oneWay.some(o => o.to === end.router);
        elements.push({
          group: "edges", data: { id: `l${i}.${k}`, link: i, source: `r${n}`, target: `h${i}` },
          classes: [...classes(end), out ? "there" : "", back ? "back" : ""].join(" "),
        });
      });
      return;
    }
    if (l.ends.length !== 2) return;
    const [a, b] = l.ends.map(e => routerAt.get(e.router));
    if (a === undefined || b === undefined) return;
    const key = Math.min(a, b) + "-" + Math.max(a, b);
    pairs.set(key, (pairs.get(key) || 0) + 1);
    const there = oneWay.some(o => o.from === l.ends[0].router), back = oneWay.some(o => o.from === l.ends[1].router);
    elements.push({
      group: "edges", data: { id: `l${i}`, link: i, pair: key, source: `r${a}`, target: `r${b}` },
      classes: [...classes(isDown(l.ends[0]) ? l.ends[0] : l.ends[1]), there ? "there" : "", back ? "back" : ""].join(" "),
    });
  });
  // Only links that share their ends need to be bent.
  for (const e of elements) if (e.data.pair && (pairs.get(e.data.pair) > 1 || e.data.source === e.data.target)) e.classes += " bent";

  const theme = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // What is far away is drawn larger than it is, so that it can be seen: routers up
  // to the room that they have, and lines at least about a pixel wide.
  function farAt(zoom) {
    const small = 2 ** (Math.round(2 * Math.log2(1 / zoom)) / 2); // in few steps: each makes a new style
    const labels = Math.min(labelSize * 1.4, Math.max(labelSize, 8.5 * small)), allNames = labels * zoom >= smallestLabel;
    return {
      nodes: Math.min(2.3, Math.max(1, 0.4 * small)), edges: Math.min(7, Math.max(1, 0.55 * small)),
      labels, landmarks: allNames ? labels : Math.max(labels, 11 * small), allNames,
    };
  }

  // The view in which all is seen. It is computed here and not measured, which
  // takes seconds for thousands of routers.
  const margin = 24, minZoom = 0.005, maxFitZoom = 1.25, maxZoom = 4;
  const places = data.routers.concat(data.hubs.filter(Boolean));
  const extent = [0, 1].map(axis => {
    let low = Infinity, high = -Infinity;
    for (const p of places) low = Math.min(low, p[axis]), high = Math.max(high, p[axis]);
    return places.length ? low + high : 1; // there is as much room on both sides
  });
  function wholeView() {
    const width = $("map").clientWidth, height = $("map").clientHeight;
    const zoom = Math.max(minZoom, Math.min(maxFitZoom, (width - 2 * margin) / extent[0], (height - 2 * margin) / extent[1]));
    return { zoom, pan: { x: (width - extent[0] * zoom) / 2, y: (height - extent[1] * zoom) / 2 } };
  }
  let far = farAt(wholeView().zoom);

  function style() {
    const ink = theme("ink"), muted = theme("muted"), paper = theme("paper"), panel = theme("panel");
    const accent = theme("accent"), warn = theme("warn"), edge = theme("edge");
    const scaled = `mapData(size, 0, 100, 0, ${100 * far.nodes})`;
    const pie = {};
    flagNames.forEach((f, k) => {
      pie[`pie-${k + 1}-background-color`] = flagColor(f);
      pie[`pie-${k + 1}-background-size`] = `data(flag${k})`;
    });
    return [
      { selector: "node", style: { "overlay-opacity": 0, "font-family": getComputedStyle(document.body).fontFamily } },
      {
        selector: "node.router", style: {
          shape: "ellipse", width: scaled, height: scaled, "background-color": "data(color)",
          "border-width": 1.5 * far.nodes, "border-color": theme("ring"), label: far.allNames ? "data(label)" : "", color: ink, "font-size": far.labels,
          "text-valign": "bottom", "text-margin-y": 4, "text-outline-width": 2.5, "text-outline-color": paper,
        },
      },
      { selector: "node.landmark", style: { "font-size": far.landmarks, "text-outline-width": far.landmarks / 6, label: "data(label)", "z-index": 4 } },
      { selector: "node.silent", style: { shape: "diamond", "background-color": panel, "border-style": "dashed", "border-width": 2 * far.nodes, "border-color": warn } },
      { selector: "node.not_asked", style: { shape: "rectangle", "background-color": panel, "border-style": "dotted", "border-width": 2 * far.nodes, "border-color": muted } },
      { selector: "node.start", style: { "outline-width": 2 * far.nodes, "outline-offset": 3 * far.nodes, "outline-color": theme("ring"), "text-margin-y": 4 + 5 * far.nodes } },
      { selector: "node.hub", style: { shape: "round-rectangle", width: 26 * far.nodes, height: 9 * far.nodes, "background-color": muted } },
      { selector: ".byflag node.answered, node.answered.byflag", style: { "background-color": panel } },
      { selector: "node.flagged.byflag", style: { "pie-size": "100%", ...pie } },
      {
        selector: "edge", style: {
          width: 1.6 * far.edges, "line-color": edge, "curve-style": "straight", "overlay-opacity": 0,
          "mid-target-arrow-color": warn, "mid-source-arrow-color": warn, "arrow-scale": 1.2,
        },
      },
      { selector: "edge.bent", style: { "curve-style": "bezier", "control-point-step-size": 24 } },
      { selector: "edge.tunnel", style: { "line-style": "dashed", "line-dash-pattern": [8 * far.nodes, 5 * far.nodes] } },
      { selector: "edge.down", style: { "line-style": "dotted" } },
      { selector: "edge.there, edge.back", style: { "line-color": warn, width: 2.2 * far.edges } },
      { selector: "edge.there", style: { "mid-target-arrow-shape": "triangle" } },
      { selector: "edge.back", style: { "mid-source-arrow-shape": "triangle" } },
      { selector: "edge.near", style: { "line-color": accent, "mid-target-arrow-color": accent, "mid-source-arrow-color": accent, width: 2.6 * far.edges, "z-index": 5 } },
      { selector: "node.near", style: { "border-color": accent, "border-width": 2.5 * far.nodes } },
      { selector: ".dim", style: { opacity: 0.13, "text-opacity": 0 } },
      { selector: "node.router.hit", style: { "underlay-color": accent, "underlay-opacity": 0.32, "underlay-padding": 6, "underlay-shape": "ellipse", label: "data(label)" } },
      {
        selector: "node.picked", style: {
          "underlay-color": accent, "underlay-opacity": 0.5, "underlay-padding": 9, "underlay-shape": "ellipse",
          "border-color": accent, "border-width": 3, "z-index": 9, opacity: 1,
        },
      },
      {
        selector: "node.router.picked", style: {
          "font-weight": 700, "font-size": far.landmarks + 2, label: "data(label)",
        },
      },
      { selector: "edge.picked", style: { "line-color": accent, width: 4 * far.edges, "mid-target-arrow-color": accent, "mid-source-arrow-color": accent, "z-index": 8, opacity: 1 } },
    ];
  }

  const motion = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  const cy = cytoscape({
    container: $("map"), elements, style: style(), layout: { name: "preset", fit: false },
    minZoom, maxZoom, autoungrabify: true, boxSelectionEnabled: false, selectionType: "single",
    hideEdgesOnViewport: elements.length > 8000, textureOnViewport: elements.length > 8000,
  });
  cy.autounselectify(true);
  function fit() {
    cy.stop(true);
    cy.viewport(wholeView());
    landmarks();
  }

  // Where there is no room for all names, those of the start and of the routers with
  // the most links are shown, as a map shows the large cities: far enough from each
  // other.
  function landmarks() {
    const wide = 130 / cy.zoom(), high = 44 / cy.zoom(), shown = [];
    const start = i => routers[i].depth === 0;
    const candidates = routers.map((r, i) => i).filter(i => start(i) || linksOf[i].length > 2)
      .sort((a, b) => start(b) - start(a) || linksOf[b].length - linksOf[a].length || a - b);
    cy.nodes(".landmark").removeClass("landmark");
    for (const i of candidates) {
      if (shown.length >= maxLandmarks) break;
      const at = data.routers[i];
      if (shown.some(o => Math.abs(o[0] - at[0]) < wide && Math.abs(o[1] - at[1]) < high)) continue;
      shown.push(at);
      cy.getElementById(`r${i}`).addClass("landmark");
    }
  }

  function restyle() {
    const now = farAt(cy.zoom());
    if (Object.keys(now).every(key => now[key] === far[key])) return;
    far = now;
    cy.style(style());
  }
  // In a large map that takes a while: it is done when the zooming has ended.
  let soon = 0;
  cy.on("zoom", () => {
    clearTimeout(soon);
    if (elements.length < 1000) restyle();
    else soon = setTimeout(restyle, 150);
  });
  fit();
  restyle();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => cy.style(style()));
  new ResizeObserver(() => cy.resize()).observe($("stage"));

  function zoom(factor) {
    cy.zoom({ level: cy.zoom() * factor, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } });
  }

  // look brings something to the middle, near enough for its name to be read.
  function look(target) {
    const level = Math.max(cy.zoom(), 1);
    const at = target.isNode() ? target.position() : target.midpoint();
    // On a small screen the details lie on the map.
    const hidden = getComputedStyle($("details")).position === "absolute" ? $("details").offsetHeight : 0;
    const view = { zoom: level, pan: { x: cy.width() / 2 - at.x * level, y: (cy.height() - hidden) / 2 - at.y * level } };
    cy.stop(true);
    if (motion) cy.animate(view, { duration: 220, easing: "ease-out-cubic" });
    else cy.viewport(view);
  }

  // ---- The details ----

  let opener = null; // what had the focus before the details were opened by keys

  function close() {
    cy.elements(".picked, .near").removeClass("picked near");
    $("details").hidden = true;
    $("details").replaceChildren();
    if (opener && opener.isConnected) opener.focus();
    opener = null;
  }

  function open(kind, title, sub, badge, children, focus) {
    const panel = $("details");
    if (focus && !opener) opener = document.activeElement;
    panel.replaceChildren(
      element("div", { className: "top" },
        element("div", {}, element("h2", {}, title), sub ? element("p", { className: "sub address" }, sub) : "", badge),
        element("button", { type: "button", className: "close", ariaLabel: "Close details", title: "Close (Esc)", onclick: close }, "✕")),
      ...children.filter(Boolean));
    panel.setAttribute("aria-label", kind);
    panel.hidden = false;
    panel.scrollTop = 0;
    if (focus) panel.focus();
    cy.resize();
  }

  function routerLink(address, text) {
    const n = routerAt.get(address);
    if (n === undefined) return element("span", { className: "address" }, text || address);
    return element("button", { type: "button", className: "link", onclick: () => { pickRouter(n, true); look(cy.getElementById(`r${n}`)); } }, text || label(routers[n]));
  }

  const facts = rows => element("dl", {}, rows.filter(Boolean).flatMap(([name, ...value]) => [element("dt", {}, name), element("dd", {}, value)]));
  const addresses = list => list.map(a => element("div", {}, element("span", { className: "address" }, a.address), a.name ? ` ${a.name}` : ""));
  const note = text => element("p", { className: "note" }, text);
  const metrics = e => e.metric === null || e.metric === undefined ? "" : `metric ${e.metric} · threshold ${e.threshold}`;
  const chips = flags => (flags || []).map(f => element("span", { className: "chip" }, f));

  // unnamed says whether the router of an address does not name a router back.
  function unnamed(router, address) {
    const n = routerAt.get(address);
    return n !== undefined && linksOf[n].some(i => (links[i].one_way || []).some(o => o.from === router.address && o.to === routers[n].address));
  }

  function neighbour(router, a) {
    const n = routerAt.get(a.address);
    const text = n === undefined ? [element("span", { className: "address" }, a.address), a.name ? ` ${a.name}` : ""]
      : [routerLink(a.address, a.name || label(routers[n])), " ",
        (a.name || label(routers[n])) === a.address ? "" : element("span", { className: "address quiet" }, a.address)];
    return element("li", {}, text, unnamed(router, a.address) ? element("span", { className: "warntext" }, " does not name it back") : "");
  }

  function interfaceCard(router, i) {
    const neighbours = i.neighbors || [];
    return element("div", { className: "card" },
      element("div", { className: "row" }, element("span", { className: "address" }, i.address), chips(i.flags), element("span", { className: "metrics" }, metrics(i))),
      neighbours.length ? element("ul", {}, neighbours.map(a => neighbour(router, a))) : element("div", { className: "quiet" }, "no neighbours"));
  }

  function pickRouter(n, focus = false) {
    const r = routers[n], node = cy.getElementById(`r${n}`);
    cy.batch(() => {
      cy.elements(".picked, .near").removeClass("picked near");
      node.addClass("picked");
      node.neighborhood().addClass("near");
    });
    const badge = element("span", { className: `badge ${r.state}` }, (states[r.state] || r.state) + (r.depth === 0 ? " · start" : ""));
    const reasons = r.state !== "answered" && r.reason ? [note(r.reason)] : [];
    if (r.bad_checksum) reasons.push(note("Its answer had a wrong checksum and may be damaged."));
    if (r.uncertain) reasons.push(note("Its answer came in several packets, and one of them may be lost."));
    if (r.contradicted) reasons.push(note("Other answers from its address say something else: one of them is forged or damaged."));
    if ((r.disputed || []).length) reasons.push(note(`It calls ${r.disputed.join(", ")} its own, but other routers speak against that, or nobody confirms it.`));
    const interfaces = r.interfaces || [];
    const named = linksOf[n].map(i => linkCard(links[i], i, r));
    open("Router", label(r), r.name ? r.address : "", badge, [
      ...reasons,
      facts([
        r.state === "answered" && ["Version", r.version ? r.version.text : r.old_form ? "unknown: it knows the old question only" : "unknown"],
        r.version && (r.version.capabilities || []).length && ["Can", (r.version.capabilities || []).join(", ")],
        (r.aliases || []).length && ["Also", addresses(r.aliases)],
        ["Distance", r.depth === 0 ? "the start" : plural(r.depth, "step") + " from the start"],
        r.rtt_ms !== null && ["Round trip", `${r.rtt_ms} ms`],
        r.tries !== null && ["Asked", plural(r.tries, "time")],
      ]),
      interfaces.length && element("section", {}, element("h3", {}, plural(interfaces.length, "interface")), interfaces.map(i => interfaceCard(r, i))),
      !interfaces.length && named.length && element("section", {}, element("h3", {}, "Known from"), named),
    ], focus);
  }

  function linkCard(l, i, without) {
    return element("div", { className: "card" },
      element("div", { className: "row" }, element("button", { type: "button", className: "link", onclick: () => { pickLink(i, true); } }, kinds[l.kind] || l.kind)),
      element("ul", {}, l.ends.filter(e => e.router !== without.address).map(e => element("li", {}, routerLink(e.router)))));
  }

  function pickLink(i, focus = false) {
    const l = links[i];
    cy.batch(() => {
      cy.elements(".picked, .near").removeClass("picked near");
      const parts = cy.elements(`[link = ${i}]`).addClass("picked");
      parts.edges().connectedNodes(".router").addClass("near");
    });
    const kind = kinds[l.kind] || l.kind;
    const title = l.kind === "lan" ? `LAN of ${plural(l.ends.length, "router")}` : kind[0].toUpperCase() + kind.slice(1) + (l.kind === "tunnel" ? "" : " link");
    open("Link", title, "", l.ends.some(isDown) ? element("span", { className: "badge silent" }, "down or disabled") : "", [
      ...(l.one_way || []).map(o => note([routerName(o.from), "names", routerName(o.to) + ", but not the reverse."].join(" "))),
      element("section", {}, element("h3", {}, "Ends"), l.ends.map(e => element("div", { className: "card" },
        element("div", {}, routerLink(e.router)),
        element("div", { className: "row" }, element("span", { className: "address quiet" }, e.interface), chips(e.flags), element("span", { className: "metrics" }, metrics(e)))))),
    ], focus);
  }

  const routerName = address => routerAt.has(address) ? label(routers[routerAt.get(address)]) : address;

  cy.on("tap", "node.router", e => pickRouter(e.target.data("router")));
  cy.on("tap", "node.hub, edge", e => pickLink(e.target.data("link")));
  cy.on("tap", e => { if (e.target === cy) close(); });
  cy.on("mouseover", "node, edge", () => { $("map").style.cursor = "pointer"; });
  cy.on("mouseout", "node, edge", () => { $("map").style.cursor = ""; });

  // ---- The legend, which is a filter as well ----

  const chosen = { state: new Set(), version: new Set(), flag: new Set(), link: new Set() };
  let colorBy = "version";

  function filter() {
    const passes = routers.map((r, i) => ["state", "version", "flag"].every(g => !chosen[g].size || groupsOf[i][g].some(k => chosen[g].has(k))));
    const linkPasses = links.map((l, i) => !chosen.link.size || linkGroups[i].some(k => chosen.link.has(k)));
    const shown = routers.map((r, i) => passes[i] && (!chosen.link.size || linksOf[i].some(k => linkPasses[k])));
    cy.batch(() => {
      cy.nodes(".router").forEach(n => { n.toggleClass("dim", !shown[n.data("router")]); });
      cy.edges().forEach(e => { e.toggleClass("dim", !linkPasses[e.data("link")] || e.connectedNodes(".router.dim").nonempty()); });
      cy.nodes(".hub").forEach(n => { n.toggleClass("dim", n.connectedEdges().not(".dim").empty()); });
    });
  }

  const disc = fill => drawing("0 0 26 18", ["circle", { cx: 13, cy: 9, r: 7, fill, stroke: "currentColor", "stroke-width": 1.4 }]);
  const line = (attributes, ...more) => drawing("0 0 26 18", ["path", { d: "M1 9H25", fill: "none", stroke: theme("edge"), "stroke-width": 2, ...attributes }], ...more);
  const symbols = {
    answered: () => disc("none"),
    silent: () => drawing("0 0 26 18", ["path", { d: "M13 1l8 8-8 8-8-8z", fill: "none", stroke: theme("warn"), "stroke-width": 1.8, "stroke-dasharray": "3 2" }]),
    not_asked: () => drawing("0 0 26 18", ["rect", { x: 6, y: 2, width: 14, height: 14, fill: "none", stroke: theme("muted"), "stroke-width": 1.8, "stroke-dasharray": "1.5 2" }]),
    start: () => drawing("0 0 26 18", ...[8, 4.5].map(r => ["circle", { cx: 13, cy: 9, r, fill: "none", stroke: "currentColor", "stroke-width": 1.4 }])),
    point_to_point: () => line({}),
    lan: () => line({}, ["rect", { x: 6, y: 6, width: 14, height: 6, rx: 2, fill: theme("muted") }]),
    tunnel: () => line({ "stroke-dasharray": "5 3" }),
    down: () => line({ "stroke-dasharray": "2 2.5" }),
    one_way: () => drawing("0 0 26 18", ["path", { d: "M1 9H18", stroke: theme("warn"), "stroke-width": 2.2 }], ["path", { d: "M16 4l9 5-9 5z", fill: theme("warn") }]),
  };

  function item(group, key, text, symbol, count) {
    return element("button", {
      type: "button", className: "item", ariaPressed: String(chosen[group].has(key)), title: `Show only: ${text}`,
      onclick: () => {
        if (!chosen[group].delete(key)) chosen[group].add(key);
        filter();
        legend(`${group}/${key}`);
      },
      id: `${group}/${key}`,
    }, symbol, element("span", {}, text), element("small", {}, number.format(count)));
  }

  const count = (list, key) => list.filter(k => k.includes(key)).length;

  function legend(focus) {
    const of = g => groupsOf.map(x => x[g]);
    const flags = flagNames.filter(f => count(of("flag"), f)).concat([...new Set(of("flag").flat())].filter(f => !flagNames.includes(f)));
    const tab = (mode, text) => element("button", {
      type: "button", ariaPressed: String(colorBy === mode), id: `tab-${mode}`,
      onclick: () => {
        chosen[colorBy].clear();
        colorBy = mode;
        cy.nodes(".router").toggleClass("byflag", mode === "flag");
        filter();
        legend(`tab-${mode}`);
      },
    }, text);
    const group = (name, keys, make) => {
      const items = keys.map(make).filter(Boolean);
      return items.length ? element("div", { role: "group", ariaLabel: name }, element("h2", {}, name), items) : null;
    };
    const some = (g, key, text, symbol, n) => n ? item(g, key, text, symbol, n) : null;
    $("legend").replaceChildren(...[
      group("Routers", [...Object.keys(states), "start"], k => some("state", k, states[k] || k, symbols[k](), count(of("state"), k))),
      element("div", { className: "tabs", role: "group", ariaLabel: "Colours" }, tab("version", "Versions"), tab("flag", "Flags")),
      colorBy === "version"
        ? element("div", { role: "group", ariaLabel: "Versions" }, versions.map(v => item("version", v, versionName(v), disc(colorOf(v)), count(of("version"), v))))
        : element("div", { role: "group", ariaLabel: "Flags of interfaces" }, flags.map(f => item("flag", f, f, disc(flagColor(f)), count(of("flag"), f)))),
      group("Links", ["point_to_point", "lan", "tunnel", "down", "one_way"],
        k => some("link", k, kinds[k] || { down: "down", one_way: "one-way" }[k], symbols[k](), count(linkGroups, k))),
      Object.values(chosen).some(s => s.size) && element("button", {
        type: "button", className: "reset",
        onclick: () => { Object.values(chosen).forEach(s => s.clear()); filter(); legend(); $("map").focus(); },
      }, "Show all again"),
      element("p", { className: "keys" }, ...[["/", " find  "], ["Enter", " next hit  "], ["Esc", " clear "], ["+"], ["−", " zoom  "], ["0", " all "], ["←↑↓→", " move"]]
        .flatMap(([key, text = " "]) => [element("kbd", {}, key), text])),
    ].filter(Boolean));
    if (focus) $(focus)?.focus();
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => legend());

  // ---- The search ----

  const haystacks = routers.map(r => [
    r.address, r.name, ...(r.aliases || []).flatMap(a => [a.address, a.name]), ...(r.disputed || []),
    r.version && r.version.text, versionOf(r), states[r.state],
  ].filter(Boolean).join("\n").toLowerCase());
  let hits = [], current = -1;

  // search looks for all words of the query. Nobody who asks for nothing is given
  // anything, unless it is for a list of all.
  function search(all) {
    const words = $("query").value.toLowerCase().split(/\s+/).filter(Boolean);
    hits = words.length || all ? haystacks.flatMap((h, i) => words.every(w => h.includes(w)) ? [i] : []) : [];
    // Those that begin with what is looked for come first.
    const first = i => [label(routers[i]), routers[i].address].some(t => t.toLowerCase().startsWith(words[0] || "")) ? 0 : 1;
    hits.sort((a, b) => first(a) - first(b));
    current = -1;
    cy.batch(() => {
      cy.nodes(".hit").removeClass("hit");
      if (words.length && hits.length <= maxHits) hits.forEach(i => cy.getElementById(`r${i}`).addClass("hit"));
    });
    showHits(words.length > 0 || all);
  }

  function showHits(visible) {
    $("hitcount").textContent = !visible ? "" : current < 0 ? plural(hits.length, "hit") : `${number.format(current + 1)} of ${number.format(hits.length)}`;
    $("hits").hidden = !visible;
    const from = Math.max(0, Math.min(current - maxHits / 2, hits.length - maxHits));
    $("hits").replaceChildren(...hits.slice(from, from + maxHits).map((i, k) => element("li", {}, element("button", {
      type: "button", ariaCurrent: String(from + k === current), onclick: () => step(from + k),
    }, element("b", {}, label(routers[i])), element("small", {},
      [routers[i].name ? routers[i].address : "", routers[i].version ? routers[i].version.text : states[routers[i].state]].filter(Boolean).join(" · "))))));
    if (!hits.length) $("hits").append(element("p", {}, "No router has that."));
    $("hits").querySelector("[aria-current=true]")?.scrollIntoView({ block: "nearest" });
  }

  function step(to, list = false) {
    if (!hits.length) return;
    current = (to + hits.length) % hits.length;
    pickRouter(hits[current]);
    look(cy.getElementById(`r${hits[current]}`));
    showHits(true);
    $("hits").hidden = !list;
  }

  function clearSearch() {
    $("query").value = "";
    search(false);
  }

  $("query").addEventListener("input", () => search(false));
  $("query").addEventListener("focus", () => { if ($("query").value) showHits(true); });
  $("find").addEventListener("submit", e => e.preventDefault());
  $("query").addEventListener("keydown", e => {
    if (e.key === "Enter") e.preventDefault(), step(current < 0 ? 0 : current + (e.shiftKey ? -1 : 1));
    else if (e.key === "ArrowDown") {
      e.preventDefault();
      if (!$("query").value && !hits.length) search(true);
      step(current + 1, true);
    }
    else if (e.key === "ArrowUp") e.preventDefault(), step(current < 0 ? -1 : current - 1, true);
  });
  document.addEventListener("pointerdown", e => { if (!$("find").contains(e.target)) $("hits").hidden = true; });
  // Leaving by the Tab key closes the list, too.
  $("find").addEventListener("focusout", e => { if (e.relatedTarget && !$("find").contains(e.relatedTarget)) $("hits").hidden = true; });

  // ---- Buttons and keys ----

  $("in").onclick = () => zoom(1.4);
  $("out").onclick = () => zoom(1 / 1.4);
  $("fit").onclick = fit;
  $("legendbutton").onclick = () => { $("legendbutton").ariaExpanded = String($("legend").classList.toggle("open")); };

  const moves = { ArrowLeft: [90, 0], ArrowRight: [-90, 0], ArrowUp: [0, 90], ArrowDown: [0, -90] };
  document.addEventListener("keydown", e => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const typing = e.target === $("query");
    if (e.key === "Escape") {
      if ($("query").value || hits.length) clearSearch();
      else if (!$("details").hidden) close();
      else if (typing) $("query").blur();
      else return;
    } else if (typing) return;
    else if (e.key === "/") $("query").focus(), $("query").select();
    else if (e.key === "+" || e.key === "=") zoom(1.4);
    else if (e.key === "-") zoom(1 / 1.4);
    else if (e.key === "0") fit();
    else if (e.key in moves && (e.target === $("map") || e.target === document.body)) cy.panBy({ x: moves[e.key][0], y: moves[e.key][1] });
    else return;
    e.preventDefault();
  });

  // ---- The head ----

  const total = state => routers.filter(r => r.state === state).length;
  $("counts").replaceChildren(...[
    [routers.length, routers.length === 1 ? "router" : "routers", ""], [total("answered"), "answered", ""],
    [total("silent"), "silent", total("silent") ? "warn" : ""], [total("not_asked"), "not asked", ""],
    [links.length, links.length === 1 ? "link" : "links", ""],
  ].map(([n, text, className]) => element("li", { className }, element("b", {}, number.format(n)), text)));
  const when = new Date(map.time);
  // Lines break between these, and in what may be long.
  const whole = text => text.replaceAll(" ", "\u00a0");
  $("made").textContent = [
    map.time.startsWith("0001") || isNaN(when) ? "" : when.toISOString().slice(0, 19).replace("T", " ") + " UTC",
    map.took_ms === null ? "" : `in ${number.format(map.took_ms / 1000)} s`,
    map.questions_sent === null ? "" : plural(map.questions_sent, "question"),
    map.complete ? "complete" : "not complete",
    map.flood ? "" : "start only",
    map.max_depth === null ? "" : `at most ${plural(map.max_depth, "step")} away`,
  ].filter(Boolean).map(whole).concat((map.within || []).length ? `within ${map.within.join(", ")}` : []).join("\u00a0· ");
  if (!map.complete) {
    $("incomplete").textContent = "Not complete: " + [map.reason, ...(map.errors || [])].filter(Boolean).join("; ");
    $("incomplete").hidden = false;
  }
  legend();
})();
