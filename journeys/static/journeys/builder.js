// The journey builder: turns the two JSON text areas of the journey page into editors that need no JSON.
// The text areas stay what is sent; the flow chart and all checks are the server's (journeys/builder).
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const optionsElement = document.getElementById("jb-options");
  if (!optionsElement) return;
  const options = JSON.parse(optionsElement.textContent);
  const urls = JSON.parse(document.getElementById("jb-urls").textContent);
  const areas = {};
  for (const area of document.querySelectorAll("textarea[data-builder]")) areas[area.dataset.builder] = area;
  if (!areas.trigger || !areas.steps) return;
  const form = areas.trigger.form;
  const drafts = JourneyDrafts.of(options.user, options.journey);
  const home = (what) => document.querySelector(`[data-builder-for="${what}"]`);

  // --- the draft ------------------------------------------------------------------------------------

  const isGroup = (test) => test.kind === "all" || test.kind === "any";
  const readable = (trigger, steps) => ({
    trigger: trigger || { kind: "all", of: [] },
    steps: (steps || []).map((step) =>
      step.kind === "condition" && !isGroup(step.test) ? { ...step, test: { kind: "all", of: [step.test] } } : step),
  });
  let state;
  try {
    state = readable(JSON.parse(areas.trigger.value || "null"), JSON.parse(areas.steps.value || "null"));
  } catch {
    return; // What can't be shown stays JSON, in its text areas, with the server's messages.
  }
  const canonical = (value) =>
    JSON.stringify(value, (_, part) =>
      part && typeof part === "object" && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)))
        : part);
  const content = () => ({ name: form.elements.name.value, status: form.elements.status.value, ...state });
  const saved = canonical({ ...options.saved, ...readable(options.saved.trigger, options.saved.steps) });
  const isChanged = () => canonical(content()) !== saved;

  // --- making elements ------------------------------------------------------------------------------

  const make = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (name === "value") made.value = value;
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  };
  // `key` finds an element again after the editor was drawn anew, `path` is its field in the document.
  const button = (text, label, key, onclick, more = {}) =>
    make("button", { type: "button", class: "jb-button", "aria-label": label, title: label, "data-key": key, onclick, ...more }, text);
  const select = (value, choices, label, at, onchange) => {
    const made = make("select", { "aria-label": label, "data-key": at.key, "data-path": at.path, onchange: (event) => onchange(event.target.value) });
    for (const [key, text] of choices) made.append(make("option", { value: key, selected: key === value }, text));
    made.value = value;
    return made;
  };
  const input = (value, label, at, oninput, more = {}) =>
    make("input", { type: "text", value, "aria-label": label, "data-key": at.key, "data-path": at.path, oninput: (event) => oninput(event.target.value), ...more });
  const labelled = (label, control) => make("label", { class: "jb-field" }, make("span", {}, label), control);

  // --- conditions -----------------------------------------------------------------------------------

  const OPERATORS = [
    ["eq", "is"], ["ne", "is not"], ["in", "is one of"], ["not_in", "is none of"], ["exists", "exists"], ["contains", "contains"],
  ];
  const SEVERAL = ["in", "not_in"];
  const split = (values) => values.split(",").map((one) => one.trim()).filter((one) => one);
  const STATUSES = [["sent", "was sent"], ["failed", "failed"]];

  const newTest = (subject) =>
    ({
      field: () => ({ kind: "field", name: "", operator: "eq", values: [""] }),
      list: () => ({ kind: "list", operator: "on", lists: options.lists.slice(0, 1).map((list) => list.id) }),
      message: () => ({ kind: "happened", event: "sent", step: "" }),
      joined: () => ({ kind: "happened", event: "joined", lists: [] }),
    })[subject]();
  const subjectOf = (test) => (test.kind === "happened" ? (test.event === "joined" ? "joined" : "message") : test.kind);

  const listBoxes = (test, at) =>
    make("span", { class: "jb-lists", role: "group", "aria-label": "Lists", "data-path": at("lists").path }, ...[
      ...options.lists,
      ...options.deleted.filter((id) => test.lists.includes(id)).map((id) => ({ id, name: `list ${id} (deleted)` })),
    ].map((list) =>
      make("label", {}, make("input", {
        type: "checkbox",
        "data-key": at(`list-${list.id}`).key,
        checked: test.lists.includes(list.id),
        onchange: (event) => {
          test.lists = event.target.checked ? [...test.lists, list.id] : test.lists.filter((id) => id !== list.id);
          changed();
        },
      }), ` ${list.name}`)));

  const fieldParts = (test, at) => {
    const parts = [
      input(test.name, "Field name", at("name"), (value) => { test.name = value.trim(); changed(); }, { list: "jb-fields", placeholder: "Field name" }),
      select(test.operator, OPERATORS, "Comparison", at("operator"), (operator) => {
        test.operator = operator;
        if (operator === "exists") test.values = [];
        else if (!test.values.length) test.values = [""];
        else if (!SEVERAL.includes(operator)) test.values = [test.values.join(", ")];
        else test.values = split(test.values.join(","));
        render();
      }),
    ];
    if (SEVERAL.includes(test.operator)) {
      const label = "Values, separated by commas";
      parts.push(input(test.values.join(", "), label, at("values"), (value) => { test.values = split(value); changed(); }, { placeholder: label }));
    } else if (test.operator !== "exists") {
      parts.push(input(test.values[0] || "", "Value", at("values"), (value) => { test.values = [value]; changed(); }, { placeholder: "Value" }));
    }
    return parts;
  };
  const happenedParts = (test, at) => {
    if (test.event === "joined") return [listBoxes(test, at)];
    const messages = state.steps
      .map((step, place) => [step, place]).filter(([step]) => step.kind === "message")
      .map(([step, place]) => [step.id, `Step ${place + 1}`]);
    return [
      select(test.step || "", [["", "Any message"], ...messages], "Message", at("step"), (value) => { test.step = value; changed(); }),
      select(test.event, STATUSES, "Message status", at("event"), (value) => { test.event = value; changed(); }),
    ];
  };
  const testRow = (test, owner, path, row, replace, remove) => {
    const at = (field) => ({ key: `${owner}/${path}/${field}`, path: `${path}.${field}` });
    const subjects = [["field", "Custom field"], ["list", "List"]];
    if (owner !== "trigger") subjects.push(["message", "Message"], ["joined", "Joined list"]);
    const parts = [select(subjectOf(test), subjects, "What to check", at("kind"), (subject) => replace(newTest(subject)))];
    if (test.kind === "field") parts.push(...fieldParts(test, at));
    else if (test.kind === "list") {
      parts.push(select(test.operator, [["on", "is on one of"], ["not_on", "is on none of"]], "Comparison", at("operator"), (operator) => {
        test.operator = operator;
        changed();
      }), listBoxes(test, at));
    } else parts.push(...happenedParts(test, at));
    return make("div", { class: "jb-test", role: "group", "aria-label": `Row ${row}`, "data-path": path },
      make("span", { class: "jb-row", "aria-hidden": "true" }, String(row)),
      ...parts, button("×", `Remove row ${row}`, at("remove").key, remove));
  };

  const groupEditor = (group, owner, path, rows, remove = null, depth = 0) => {
    const key = (name) => `${owner}/${path}/${name}`;
    const under = (place) => (path ? `${path}.of.${place}` : `of.${place}`);
    const add = (test, name, focus) => () => {
      group.of.push(test());
      render({ focus: [`${owner}/${under(group.of.length - 1)}/${focus}`], say: `${name} added.` });
    };
    const drop = (place, name) => () => {
      group.of.splice(place, 1);
      const next = Math.min(place, group.of.length - 1);
      render({ focus: [`${owner}/${under(next)}/remove`, key("add")], say: `${name} removed.` });
    };
    const parts = group.of.map((test, place) => {
      if (isGroup(test)) return groupEditor(test, owner, under(place), rows, drop(place, "Group"), depth + 1);
      rows.count += 1;
      return testRow(test, owner, under(place), rows.count, (other) => { group.of[place] = other; render(); }, drop(place, `Row ${rows.count}`));
    });
    return make("div", { class: "jb-group", role: "group", "aria-label": "Conditions", "data-path": path },
      make("div", { class: "jb-head" },
        select(group.kind, [["all", "Match all"], ["any", "Match any"]], "Match", { key: key("kind"), path: "" }, (kind) => { group.kind = kind; changed(); }),
        remove ? button("×", "Remove the group", key("remove"), remove) : null),
      ...parts,
      make("div", { class: "jb-head" },
        button("+ Condition", "Add a condition", key("add"), add(() => newTest("field"), "Condition", "kind")),
        depth < 4 ? button("+ Group", "Add a group", key("add-group"), add(() => ({ kind: "any", of: [newTest("field")] }), "Group", "kind")) : null));
  };

  // --- steps ----------------------------------------------------------------------------------------

  // An id is never used again, so that no way leads to another step than it was meant for.
  let lastId = 0;
  const newId = () => {
    lastId = Math.max(lastId, ...state.steps.map((step) => Number(/^s(\d{1,9})$/.exec(step.id)?.[1] || 0))) + 1;
    return `s${lastId}`;
  };
  const nameOf = (step, place) => `Step ${place + 1}, ${options.kinds.find((kind) => kind.kind === step.kind)?.name || "Unknown step"}`;
  const newStep = (kind) => ({
    kind, id: newId(),
    ...{
      message: { text: "" }, wait: { amount: 1, unit: "days" }, wait_until: { at: "10:00" },
      condition: { test: { kind: "all", of: [newTest("field")] }, yes: "", no: "" },
      set_field: { name: "", value: "" }, unsubscribe: {}, exit: {},
    }[kind],
  });
  const addStep = (kind) => {
    const step = newStep(kind);
    state.steps.push(step);
    const first = { message: "text", wait: "amount", wait_until: "at", condition: "test.of.0/kind", set_field: "name" }[kind] || "card";
    render({ focus: [`${step.id}/${first}`], say: `${nameOf(step, state.steps.length - 1)}, added.` });
  };
  const removeStep = (place) => {
    const name = nameOf(state.steps[place], place);
    const [{ id }] = state.steps.splice(place, 1);
    for (const step of state.steps) {
      for (const way of ["next", "yes", "no"]) if (step[way] === id) step[way] = "";
    }
    const next = state.steps[Math.min(place, state.steps.length - 1)];
    render({ focus: next ? [`${next.id}/remove`] : [`add/${options.kinds[0].kind}`], say: `${name}, removed.` });
  };
  const moveStep = (place, by, name) => {
    const step = state.steps[place];
    const to = place + by;
    if (to < 0 || to >= state.steps.length) return;
    state.steps.splice(place, 1);
    state.steps.splice(to, 0, step);
    render({ focus: [`${step.id}/${by < 0 ? "up" : "down"}`], say: `${name}, is now step ${to + 1} of ${state.steps.length}.` });
  };
  const wayOn = (step, name, label) =>
    make("label", { class: "jb-way" }, `${label} `, select(step[name] || "", [
      ["", "next step"],
      ...state.steps.map((other, place) => [other.id, `step ${place + 1}`]).filter(([id]) => id !== step.id),
      ["end", "end of journey"],
    ], label, { key: `${step.id}/${name}`, path: name }, (value) => { step[name] = value; changed(); }));

  const stepBody = (step) => {
    const at = (name) => ({ key: `${step.id}/${name}`, path: name });
    switch (step.kind) {
      case "message":
        return [
          labelled("Text", make("textarea", {
            rows: 3, placeholder: "Hi {{first_name|there}}, welcome!", value: step.text ?? "", "data-key": at("text").key, "data-path": "text",
            oninput: (event) => { step.text = event.target.value; changed(); },
          })),
          make("small", { "data-size": "" }),
        ];
      case "wait":
        return [
          labelled("Wait for", input(String(step.amount ?? ""), "Wait for", at("amount"),
            (value) => { step.amount = value === "" ? null : Number(value); changed(); }, { type: "number", min: 1, step: 1, class: "jb-short" })),
          labelled("Unit", select(step.unit, [["minutes", "minutes"], ["hours", "hours"], ["days", "days"]], "Unit", at("unit"), (unit) => { step.unit = unit; changed(); })),
        ];
      case "wait_until":
        return [
          labelled("Time of day", input(step.at ?? "", "Time of day", at("at"), (value) => { step.at = value; changed(); }, { type: "time", class: "jb-short" })),
          make("small", {}, "next occurrence, contact's local time"),
        ];
      case "condition":
        return [groupEditor(step.test, step.id, "test", { count: 0 }), wayOn(step, "yes", "If yes, go to"), wayOn(step, "no", "If no, go to")];
      case "set_field":
        return [
          labelled("Field name", input(step.name ?? "", "Field name", at("name"), (value) => { step.name = value.trim(); changed(); }, { list: "jb-fields" })),
          labelled("Value", input(step.value ?? "", "Value", at("value"), (value) => { step.value = value; changed(); })),
        ];
      default:
        return [];
    }
  };

  const stepCard = (step, place) => {
    const name = nameOf(step, place);
    const tool = (text, what, does, isOff) => // stays focusable where it does nothing, so that the focus is not lost
      button(text, `${what} step ${place + 1}`, `${step.id}/${does.key}`, does.run, isOff ? { "aria-disabled": "true" } : {});
    const goesOn = !["condition", "exit", "unsubscribe"].includes(step.kind);
    return make("li", { class: "jb-step", "data-place": place + 1, "data-key": `${step.id}/card`, tabindex: -1, "aria-label": name },
      make("div", { class: "jb-head" },
        make("b", {}, name.replace("Step ", "").replace(", ", " · ")),
        make("span", { class: "jb-tools" },
          tool("↑", "Move up", { key: "up", run: () => moveStep(place, -1, name) }, place === 0),
          tool("↓", "Move down", { key: "down", run: () => moveStep(place, 1, name) }, place === state.steps.length - 1),
          tool("×", "Remove", { key: "remove", run: () => removeStep(place) }, false))),
      make("div", { class: "jb-body" }, ...stepBody(step)),
      goesOn ? wayOn(step, "next", "Then go to") : null,
      make("ul", { class: "jb-problems", id: `jb-problems-${place + 1}`, "data-problems": place + 1 }),
      make("ul", { class: "jb-warnings", "data-warnings": place + 1 }));
  };

  // --- the page -------------------------------------------------------------------------------------

  const flow = make("div", { class: "jb-preview", tabindex: 0, role: "region", "aria-label": "Flow chart" });
  const live = make("div", { class: "jb-live", "aria-live": "polite" });
  const find = (key) => [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
  /** Draw the editors anew; the focus goes to the first of these keys that is there, or stays where it is. */
  const render = ({ focus = [document.activeElement?.dataset.key], say = "" } = {}) => {
    home("trigger").replaceChildren(
      make("div", { "data-place": "trigger" }, groupEditor(state.trigger, "trigger", "", { count: 0 })),
      make("ul", { class: "jb-problems", id: "jb-problems-trigger", "data-problems": "trigger" }));
    home("steps").replaceChildren(
      make("datalist", { id: "jb-fields" }, ...options.fields.map((name) => make("option", { value: name }))),
      make("div", { class: "jb-columns" },
        make("div", {},
          make("ol", { class: "jb-steps" }, ...state.steps.map(stepCard)),
          make("ul", { class: "jb-problems", "data-problems": "0" }),
          make("ul", { class: "jb-warnings", "data-warnings": "0" }),
          make("div", { class: "jb-head jb-add" }, ...options.kinds.map((kind) =>
            button(`+ ${kind.name}`, `Add: ${kind.name}`, `add/${kind.kind}`, () => addStep(kind.kind))))),
        flow));
    focus.map(find).find((one) => one)?.focus();
    if (say) live.textContent = say;
    changed();
  };

  const notices = make("div", { class: "jb-notices", role: "status" });
  /** Show, replace or (without a text) remove the notice of a kind. */
  const notice = (kind, text = "", ...actions) => {
    notices.querySelector(`[data-notice="${kind}"]`)?.remove();
    if (text) notices.append(make("div", { class: "jb-notice", "data-notice": kind }, make("span", {}, text), ...actions));
  };
  const link = (text, href, more = {}) => make("a", { href, class: "jb-button", ...more }, text);

  let isLeaving = false;
  const discard = () => button("Discard my changes", "Discard my changes", "discard", () => {
    drafts.remove();
    isLeaving = true;
    location.assign(location.pathname);
  });
  let isReady = false;
  let timer = 0;
  let asked = 0;
  const changed = () => {
    areas.trigger.value = JSON.stringify(state.trigger);
    areas.steps.value = JSON.stringify(state.steps);
    keep();
    asked += 1; // What is on its way is of an older draft.
    clearTimeout(timer);
    timer = setTimeout(preview, 250);
  };
  const keep = () => {
    if (!isReady) return;
    if (!isChanged()) {
      drafts.remove();
      notice("restored");
    } else if (!drafts.keep(content(), Number(form.elements.seen.value))) {
      notice("storage", "This browser can't keep a copy of your changes: save them before you leave the page.");
    }
  };

  // --- the server -----------------------------------------------------------------------------------

  const KEPT = "Your changes are kept in this browser.";
  const signIn = () => [
    link("Sign in in a new tab", options.login, { target: "_blank" }),
    link("Sign in here", options.login, { onclick: () => { isLeaving = true; } }),
  ];
  const again = () => button("Try again", "Try again", "again", () => preview());
  /** The answer, or null, with a notice that says why. */
  const post = async (url, body) => {
    let response;
    try {
      response = await fetch(url, {
        method: "POST",
        redirect: "manual", // to the login
        headers: { "Content-Type": "application/json", "X-CSRFToken": JourneyDrafts.cookie(options.csrf_cookie) },
        body: JSON.stringify(body),
      });
    } catch {
      notice("failure", `The server can't be reached. ${KEPT}`, again());
      return null;
    }
    if (response.ok) notice("failure");
    else if (response.type === "opaqueredirect") notice("failure", `You were signed out. ${KEPT}`, ...signIn());
    else if (response.status === 403) notice("failure", `You are signed out, or not allowed to change this journey. ${KEPT}`, ...signIn());
    else if (response.status === 404) notice("failure", `This journey was deleted. ${KEPT}`);
    else {
      const answer = await response.json().catch(() => null);
      notice("failure", `${answer?.error || `The journey can't be checked: the server answered ${response.status}.`} ${KEPT}`, again());
    }
    return response.ok ? response : null;
  };

  const preview = async () => {
    asked += 1;
    const mine = asked;
    const response = await post(urls.preview, state);
    if (!response || mine !== asked) return;
    const answer = await response.json();
    if (mine === asked) show(answer);
  };
  let problems = 0;
  const show = (answer) => {
    flow.innerHTML = answer.flow; // made and escaped by the server
    const found = [...answer.problems, ...answer.trigger_problems.map((one) => ({ ...one, place: "trigger" }))];
    const list = (name, of) => {
      for (const place of document.querySelectorAll(`[data-${name}]`)) {
        const here = of.filter((one) => String(one.place) === place.dataset[name]);
        place.replaceChildren(...here.map((one) => make("li", {}, one.message)));
      }
    };
    list("problems", found);
    list("warnings", answer.warnings);
    for (const one of document.querySelectorAll("[aria-invalid], .jb-wrong")) {
      one.removeAttribute("aria-invalid");
      one.removeAttribute("aria-describedby");
      if (!one.closest("svg")) one.classList.remove("jb-wrong");
    }
    for (const { place, path } of found) mark(place, path);
    for (const place of document.querySelectorAll("[data-size]")) place.textContent = answer.sizes[place.closest("[data-place]").dataset.place] || "";
    if (found.length !== problems) live.textContent = `${found.length} ${found.length === 1 ? "problem" : "problems"}.`;
    problems = found.length;
  };
  const mark = (place, path) => {
    const field = path && [...document.querySelectorAll(`[data-place="${place}"] [data-path]`)].find((one) => one.dataset.path === path);
    if (!field) return;
    if (field.matches("input, select, textarea")) {
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", `jb-problems-${place}`);
    } else field.classList.add("jb-wrong");
  };

  const trial = document.querySelector("[data-trial]");
  trial?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const response = await post(urls.trial, { ...state, contact: Object.fromEntries(new FormData(trial)) });
    if (response) document.querySelector("[data-trial-result]").innerHTML = await response.text(); // made and escaped by the server
  });

  // --- leaving and coming back ----------------------------------------------------------------------

  const size = () => new TextEncoder().encode(areas.trigger.value + areas.steps.value).length;
  form.addEventListener("submit", (event) => {
    if (size() > options.most_bytes) {
      event.preventDefault();
      notice("size", `Shorten the journey: it takes ${size().toLocaleString()} bytes, and ${options.most_bytes.toLocaleString()} are allowed. ${KEPT}`);
      return;
    }
    // The token changes where the person signed in again in another tab.
    const token = JourneyDrafts.cookie(options.csrf_cookie);
    if (token) form.elements.csrfmiddlewaretoken.value = token;
    form.elements.draft.value = drafts.id;
    isLeaving = true;
  });
  window.addEventListener("beforeunload", (event) => {
    if (isChanged() && !isLeaving) event.preventDefault();
  });
  window.addEventListener("pageshow", () => { isLeaving = false; });
  const comeBack = () => { if (notices.querySelector('[data-notice="failure"]')) preview(); };
  window.addEventListener("focus", comeBack);
  window.addEventListener("online", comeBack);
  for (const field of [form.elements.name, form.elements.status]) field.addEventListener("input", () => keep());

  const restore = () => {
    const kept = drafts.read();
    if (options.is_sent || !kept || canonical(kept.content) === saved) return;
    const at = new Date(kept.at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    if (new URLSearchParams(location.search).has("saved")) {
      notice("restored", `This is the saved journey. Your unsaved changes of ${at} are kept in this browser.`, link("Open my changes", location.pathname));
      return;
    }
    const { name, status, ...steps } = kept.content;
    state = readable(steps.trigger, steps.steps);
    form.elements.name.value = name;
    form.elements.status.value = status;
    form.elements.seen.value = kept.revision;
    const since = kept.revision === options.revision ? "They are not saved yet." : "The journey was saved by another person or tab since then; saving asks before it replaces that.";
    notice("restored", `Your unsaved changes of ${at} are restored. ${since}`, discard());
  };
  restore();
  for (const area of Object.values(areas)) area.hidden = true;
  form.append(make("input", { type: "hidden", name: "draft" }));
  form.prepend(notices, live);
  if (options.is_sent) notice("sent", "The journey is not saved: see the messages below.", discard());
  render();
  isReady = true;
  if (isChanged() && !new URLSearchParams(location.search).has("saved")) keep();
});
