// Dark or light: as the system has it until the reader chooses. Runs before the page is painted.
"use strict";
(() => {
  const THEMES = ["system", "light", "dark"];
  const stored = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // a browser that stores nothing
    }
  };
  let theme = THEMES.includes(stored()) ? stored() : "system";

  const show = () => {
    document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) {
      button.textContent = `◐ ${theme[0].toUpperCase()}${theme.slice(1)}`;
      button.setAttribute("aria-label", `Theme: ${theme}`);
    }
  };

  show();
  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme").addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      try {
        localStorage.setItem("theme", theme);
      } catch {
        // then it lasts as long as the page
      }
      show();
    });
  });
})();
