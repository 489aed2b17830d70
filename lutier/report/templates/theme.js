"use strict";
try {
  const kept = localStorage.getItem("lutier-theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
} catch (refused) {
  // A browser that keeps nothing for files takes the theme of the system.
}
