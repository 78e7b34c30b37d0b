// What the tests ask of the page from inside.
window.probe = {
  ground: (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor.match(/[\d.]+/g).map(Number);
      if (colour.length < 4 || colour[3] > 0.99) return `rgb(${colour})`;
    }
    return "rgb(255,255,255)";
  },
  contrast: (one, other) => {
    const part = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    const light = (c) => (([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b))(c.match(/[\d.]+/g));
    const [a, b] = [light(one), light(other)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  },
  bars: () => [...document.querySelectorAll(".eb-bars .eb-track > span")].map((e) => e.style.getPropertyValue("--p")),
  holder: () => [...document.querySelectorAll("#eb-live *")].find((e) => e.spans),
  spans: () => [...(probe.holder()?.spans || [])],
  tracks: () => probe.holder().streams.flatMap((s) => s.getTracks()).map((t) => t.readyState),
  places: () => [".eb-bars", ".eb-plane", ".eb-parts", ".eb-talk", ".eb-course"].map((s) => {
    const r = document.querySelector(s).getBoundingClientRect();
    return [r.x, r.y + scrollY, r.width, r.height].map(Math.round);
  }),
  // contrast of the outline of what has the focus with what lies round it, 0 when it has none (WCAG 2.2, 1.4.11)
  ring: () => {
    const e = document.activeElement, style = getComputedStyle(e);
    return style.outlineStyle === "none" ? 0 : probe.contrast(style.outlineColor, probe.ground(e.parentElement));
  },
  unnamed: () => [...document.querySelectorAll("button, input, textarea, [role=tab], video, svg[role=img]")]
    .filter((e) => e.checkVisibility() && e.type !== "file")
    .filter((e) => !(e.getAttribute("aria-label") || e.innerText || e.labels?.length || e.title))
    .map((e) => e.outerHTML.slice(0, 90)),
  // text whose contrast with what lies behind it is below 4.5 (WCAG 2.2, 1.4.3)
  faint: () => {
    const words = (e) => [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.textContent.trim()).join("");
    const seen = (e) => e.checkVisibility({ checkVisibilityCSS: true })
      && !e.closest("[disabled], style, video, [data-part=off]");
    return [...document.querySelectorAll(".gradio-container *")].filter((e) => words(e) && seen(e)).map((e) => {
      const style = getComputedStyle(e), ink = e.closest("svg") ? style.fill : style.color;
      return [words(e).slice(0, 30), ink, probe.ground(e), probe.contrast(ink, probe.ground(e)).toFixed(2)];
    }).filter(([, , , ratio]) => ratio < 4.5);
  },
};
