// What Swagger UI leaves out for people who use a screen reader, the keyboard or a dark screen.

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// A name for every control that shows none: what it is for stands beside it, not in a label of its own.
const NAMES = {
  ".parameters select, .parameters input": (control) =>
    control.closest("tr")?.querySelector(".parameter__name")?.firstChild?.textContent,
  ".body-param textarea": () => "Request body",
  ".opblock-section-request-body .content-type-wrapper select": () => "Request content type",
  ".opblock-section-request-body .examples-select select": () => "Example request",
  ".responses-wrapper .content-type": () => "Response content type",
  ".responses-wrapper .examples-select select": () => "Example answer",
  ".auth-container input": () => "API key",
  ".close-modal": () => "Close",
  "#servers": () => "Server",
};

const improve = () => {
  for (const [selector, name] of Object.entries(NAMES)) {
    for (const control of document.querySelectorAll(selector)) {
      const text = name(control)?.trim();
      if (text && control.getAttribute("aria-label") !== text) control.setAttribute("aria-label", text);
    }
  }
  // What scrolls must be reachable by keyboard.
  for (const block of document.querySelectorAll(".microlight, .highlight-code > *, .renderedMarkdown pre")) {
    if (!block.hasAttribute("tabindex")) block.setAttribute("tabindex", "0");
  }
};

let asked = false;
new MutationObserver(() => {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    improve();
  });
}).observe(document.documentElement, { childList: true, subtree: true });
