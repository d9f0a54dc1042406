// Names for what scripts of the theme and of Django's admin add to a page without one.
(() => {
    // select2's box says what is chosen, and not for what: the label of the <select> that it stands for.
    const nameBox = (box) => {
        const select = box.closest(".select2-container")?.parentElement?.querySelector("select");
        const label = select?.labels?.[0];
        if (!label) {
            return;
        }
        label.id ||= `${select.id}_label`;
        const shown = box.getAttribute("aria-labelledby") ?? "";
        if (!shown.split(" ").includes(label.id)) {
            box.setAttribute("aria-labelledby", `${label.id} ${shown}`.trim());
            box.querySelector("[role=textbox]")?.setAttribute("aria-labelledby", label.id);
        }
    };

    const mend = (root) => {
        root.querySelectorAll(".select2-selection").forEach(nameBox);
        root.querySelectorAll(".select2-search__field:not([aria-label])").forEach((field) => field.setAttribute("aria-label", "Search"));
        // An aria-label is for what has a role; these are pictures of a question mark.
        root.querySelectorAll(".help-tooltip[aria-label]:not([role])").forEach((icon) => icon.setAttribute("role", "img"));
    };

    document.addEventListener("DOMContentLoaded", () => {
        mend(document);
        new MutationObserver(() => mend(document)).observe(document.body, { childList: true, subtree: true });
    });
})();
