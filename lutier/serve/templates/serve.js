"use strict";
(() => {
  const root = document.documentElement;
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches);

  const button = document.getElementById("theme");
  const name = () => button.setAttribute("aria-pressed", String(isDark()));
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("lutier-theme", root.dataset.theme);
    } catch (refused) {
      // Then the choice holds until the page is left.
    }
    name();
  });
  systemDark.addEventListener("change", name);

  // Only what can be scrolled is a stop of the tab key.
  const stops = () => {
    for (const box of document.querySelectorAll(".scroll")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  addEventListener("resize", stops);

  // An address says only what was chosen.
  for (const form of document.querySelectorAll("form.filters")) {
    form.addEventListener("submit", () => {
      for (const field of form.elements) {
        if (field.name && !field.value) field.disabled = true;
      }
    });
    addEventListener("pageshow", () => {
      for (const field of form.elements) field.disabled = false;
    });
  }

  name();
  stops();
  root.dataset.ready = "yes";
})();
