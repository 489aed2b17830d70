"use strict";
(() => {
  const root = document.documentElement;
  const { figures, colors } = JSON.parse(document.getElementById("plots").textContent);
  const toDark = new Map(colors.map(([light, dark]) => [light, dark]));
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 640px)");
  const coarse = matchMedia("(pointer: coarse)");
  const PRINTED = 660;
  let printing = false;

  const isDark = () =>
    !printing && (root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches);

  // A copy of a figure in the colours of the theme.
  const dressed = (value, dark) => {
    if (typeof value === "string") return (dark && toDark.get(value)) || value;
    if (Array.isArray(value)) return value.map((item) => dressed(item, dark));
    if (value && typeof value === "object") {
      return Object.fromEntries(
        Object.entries(value).map(([name, item]) => [name, dressed(item, dark)]),
      );
    }
    return value;
  };

  const draw = (id) => {
    const element = document.getElementById(id);
    const { data, layout } = dressed(figures[id], isDark());
    layout.height = Number(element.dataset.height) * (printing ? 0.78 : 1);
    layout.font.family = getComputedStyle(document.body).fontFamily;
    layout.dragmode = coarse.matches ? false : "zoom";
    if (printing) {
      layout.width = PRINTED;
      layout.autosize = false;
    } else {
      layout.autosize = true;
    }
    if (narrow.matches && !printing) {
      layout.font.size = 11;
      for (const axis of [layout.xaxis, layout.yaxis]) axis.nticks = 5;
    }
    const config = {
      responsive: !printing,
      displaylogo: false,
      displayModeBar: false,
      scrollZoom: false,
      doubleClick: "reset",
    };
    const drawn = Plotly.react(element, data, layout, config);
    if (!element.dataset.drawn) {
      element.dataset.drawn = "yes";
      element.on("plotly_click", (event) => {
        const target = event.points.map((point) => point.customdata).find(Boolean);
        if (target) open(target);
      });
    }
    return drawn;
  };

  const ids = Object.keys(figures);
  const isVisible = (id) => document.getElementById(id).checkVisibility();
  const drawAll = () => ids.filter((id) => printing || isVisible(id)).forEach(draw);

  // Opens whatever hides an element, and goes there.
  const open = (id) => {
    if (location.hash === `#${id}`) reveal();
    else location.hash = id;
  };
  const reveal = () => {
    const element = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!element) return;
    if (element instanceof HTMLDetailsElement) element.open = true;
    for (let at = element.parentElement; at; at = at.parentElement) {
      if (at instanceof HTMLDetailsElement) at.open = true;
    }
    element.scrollIntoView();
    const focused = element.matches("details") ? element.querySelector("summary") : element;
    focused.focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);

  const button = document.getElementById("theme");
  const name = () => {
    button.setAttribute("aria-pressed", String(isDark()));
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("lutier-theme", root.dataset.theme);
    } catch (refused) {
      // Then the choice holds until the page is closed.
    }
    name();
    drawAll();
  });
  systemDark.addEventListener("change", () => {
    name();
    drawAll();
  });

  const said = document.getElementById("said");
  for (const copy of document.querySelectorAll("button.copy")) {
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      const code = document.getElementById(copy.dataset.of);
      try {
        await navigator.clipboard.writeText(code.textContent);
        said.textContent = "copied";
      } catch (refused) {
        getSelection().selectAllChildren(code);
        said.textContent = "selected: copy it with the keyboard";
      }
      copy.dataset.done = "yes";
      setTimeout(() => delete copy.dataset.done, 1500);
    });
  }

  // Browsers refuse to save long addresses, but not the same bytes as a blob.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[download]");
    if (!link || !link.href.startsWith("data:") || link.href.length < 1e6) return;
    event.preventDefault();
    const bytes = Uint8Array.from(atob(link.href.split(",")[1]), (c) => c.charCodeAt(0));
    const url = URL.createObjectURL(new Blob([bytes], { type: "text/csv" }));
    const saved = Object.assign(document.createElement("a"), { href: url, download: link.download });
    saved.click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  });

  document.addEventListener(
    "toggle",
    (event) => {
      if (event.target.open) {
        for (const plot of event.target.querySelectorAll(".plot")) draw(plot.id);
        stops();
      }
    },
    true,
  );
  narrow.addEventListener("change", drawAll);

  // Only what can be scrolled is a stop of the tab key.
  const stops = () => {
    for (const box of document.querySelectorAll(".scroll")) {
      const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
      if (scrolls) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  addEventListener("resize", stops);

  const print = (starts) => {
    if (printing === starts) return;
    printing = starts;
    drawAll();
  };
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  matchMedia("print").addEventListener("change", (event) => print(event.matches));

  name();
  drawAll();
  stops();
  if (location.hash) reveal();
  root.dataset.ready = "yes";
})();
