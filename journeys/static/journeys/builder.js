// The journey builder: turns the two JSON text areas of the journey page into editors that need no JSON.
// The text areas stay what is sent; the flow chart and all checks are the server's (journeys/builder).
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const optionsElement = document.getElementById("jb-options");
  if (!optionsElement) return;
  const options = JSON.parse(optionsElement.textContent);
  const urls = JSON.parse(document.getElementById("jb-urls").textContent);
  const areas = {};
  const state = {};
  for (const area of document.querySelectorAll("textarea[data-builder]")) {
    areas[area.dataset.builder] = area;
    state[area.dataset.builder] = JSON.parse(area.value || "null");
    area.hidden = true;
  }
  if (!areas.trigger || !areas.steps) return;
  state.trigger ||= { kind: "all", of: [] };
  state.steps ||= [];
  const home = (what) => document.querySelector(`[data-builder-for="${what}"]`);

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
  const button = (text, label, onclick, more = {}) =>
    make("button", { type: "button", class: "jb-button", "aria-label": label, title: label, onclick, ...more }, text);
  const select = (value, choices, label, onchange) => {
    const made = make("select", { "aria-label": label, onchange: (event) => onchange(event.target.value) });
    for (const [key, text] of choices) {
      made.append(make("option", { value: key, selected: key === value }, text));
    }
    made.value = value;
    return made;
  };
  const input = (value, label, oninput, more = {}) =>
    make("input", { type: "text", value, "aria-label": label, placeholder: label, oninput: (event) => oninput(event.target.value), ...more });

  // --- conditions -----------------------------------------------------------------------------------

  const OPERATORS = [
    ["eq", "is"], ["ne", "is not"], ["in", "is one of"], ["not_in", "is none of"], ["exists", "exists"], ["contains", "contains"],
  ];
  const SEVERAL = ["in", "not_in"];
  const split = (values) => values.split(",").map((one) => one.trim()).filter((one) => one);
  const EVENTS = [["sent", "was sent"], ["failed", "failed"]];

  const newTest = (subject) =>
    ({
      field: () => ({ kind: "field", name: "", operator: "eq", values: [""] }),
      list: () => ({ kind: "list", operator: "on", lists: options.lists.slice(0, 1).map((list) => list.id) }),
      message: () => ({ kind: "happened", event: "sent", step: "" }),
      joined: () => ({ kind: "happened", event: "joined", lists: [] }),
    })[subject]();
  const subjectOf = (test) => (test.kind === "happened" ? (test.event === "joined" ? "joined" : "message") : test.kind);

  const listBoxes = (test, changed) =>
    make("span", { class: "jb-lists" }, ...[
      ...options.lists,
      ...options.deleted.filter((id) => test.lists.includes(id)).map((id) => ({ id, name: `list ${id} (deleted)` })),
    ].map((list) =>
      make("label", {}, make("input", {
        type: "checkbox",
        checked: test.lists.includes(list.id),
        onchange: (event) => {
          test.lists = event.target.checked ? [...test.lists, list.id] : test.lists.filter((id) => id !== list.id);
          changed();
        },
      }), ` ${list.name}`)));

  const testRow = (test, inSteps, replace, remove) => {
    const changed = save;
    const subjects = [["field", "Custom field"], ["list", "List"]];
    if (inSteps) subjects.push(["message", "Message"], ["joined", "Joined since the start"]);
    const parts = [select(subjectOf(test), subjects, "What is asked", (subject) => replace(newTest(subject)))];
    if (test.kind === "field") {
      parts.push(input(test.name, "Field name", (value) => { test.name = value.trim(); changed(); }, { list: "jb-fields" }));
      parts.push(select(test.operator, OPERATORS, "Comparison", (operator) => {
        test.operator = operator;
        if (operator === "exists") test.values = [];
        else if (!test.values.length) test.values = [""];
        else if (!SEVERAL.includes(operator)) test.values = [test.values.join(", ")];
        else test.values = split(test.values.join(","));
        render();
      }));
      if (SEVERAL.includes(test.operator)) {
        parts.push(input(test.values.join(", "), "Values, with commas", (value) => {
          test.values = split(value);
          changed();
        }));
      } else if (test.operator !== "exists") {
        parts.push(input(test.values[0] || "", "Value", (value) => { test.values = [value]; changed(); }));
      }
    } else if (test.kind === "list") {
      parts.push(select(test.operator, [["on", "is on one of"], ["not_on", "is on none of"]], "Comparison", (operator) => {
        test.operator = operator;
        changed();
      }));
      parts.push(listBoxes(test, changed));
    } else if (test.event === "joined") {
      parts.push(listBoxes(test, changed));
    } else {
      const which = [["", "Any message"], ...state.steps
        .map((step, place) => [step, place]).filter(([step]) => step.kind === "message")
        .map(([step, place]) => [step.id, `Step ${place + 1}`])];
      parts.push(select(test.step || "", which, "Which message", (value) => { test.step = value; changed(); }));
      parts.push(select(test.event, EVENTS, "What became of it", (value) => { test.event = value; changed(); }));
    }
    return make("div", { class: "jb-test" }, ...parts, button("×", "Remove the condition", remove));
  };

  const groupEditor = (group, inSteps, remove, depth = 0) => {
    const at = (place) => (test) => { group.of[place] = test; render(); };
    const drop = (place) => () => { group.of.splice(place, 1); render(); };
    const rows = group.of.map((test, place) =>
      test.kind === "all" || test.kind === "any"
        ? groupEditor(test, inSteps, drop(place), depth + 1)
        : testRow(test, inSteps, at(place), drop(place)));
    return make("div", { class: "jb-group" },
      make("div", { class: "jb-head" },
        select(group.kind, [["all", "All of these hold"], ["any", "One of these holds"]], "How conditions go together",
          (kind) => { group.kind = kind; save(); }),
        remove ? button("×", "Remove the group", remove) : null),
      ...rows,
      make("div", { class: "jb-head" },
        button("+ Condition", "Add a condition", () => { group.of.push(newTest("field")); render(); }),
        depth < 4 ? button("+ Group", "Add a group", () => { group.of.push({ kind: "any", of: [newTest("field")] }); render(); }) : null));
  };

  // --- steps ----------------------------------------------------------------------------------------

  // An id is never used again, so that no way leads to another step than it was meant for.
  let lastId = Math.max(0, ...state.steps.map((step) => Number(/^s(\d+)$/.exec(step.id)?.[1] || 0)));
  const newId = () => {
    lastId += 1;
    return `s${lastId}`;
  };
  const remove = (place) => {
    const [{ id }] = state.steps.splice(place, 1);
    for (const step of state.steps) {
      for (const way of ["next", "yes", "no"]) if (step[way] === id) step[way] = "";
    }
    render();
  };
  const newStep = (kind) => ({
    kind, id: newId(),
    ...{
      message: { text: "" }, wait: { amount: 1, unit: "days" }, wait_until: { at: "10:00" },
      condition: { test: { kind: "all", of: [newTest("field")] }, yes: "", no: "" },
      set_field: { name: "", value: "" }, unsubscribe: {}, exit: {},
    }[kind],
  });
  const wayOn = (step, name, label) =>
    make("label", { class: "jb-way" }, `${label} `, select(step[name] || "", [
      ["", "the next step"],
      ...state.steps.map((other, place) => [other.id, `step ${place + 1}`]).filter(([id]) => id !== step.id),
      ["end", "the end"],
    ], label, (value) => { step[name] = value; save(); }));

  const stepBody = (step) => {
    switch (step.kind) {
      case "message":
        return [
          make("textarea", {
            rows: 3, "aria-label": "Text", placeholder: "Hi {{first_name|there}}, welcome!", value: step.text,
            oninput: (event) => { step.text = event.target.value; save(); },
          }),
          make("small", { "data-size": step.id }),
        ];
      case "wait":
        return [
          input(String(step.amount), "How long", (value) => { step.amount = Number(value); save(); }, { type: "number", min: 1, class: "jb-short" }),
          select(step.unit, [["minutes", "minutes"], ["hours", "hours"], ["days", "days"]], "Unit", (unit) => { step.unit = unit; save(); }),
        ];
      case "wait_until":
        return [
          input(step.at, "Time of day", (value) => { step.at = value; save(); }, { type: "time", class: "jb-short" }),
          make("small", {}, "the next time that it is, where the contact is"),
        ];
      case "condition":
        return [groupEditor(step.test, true, null), wayOn(step, "yes", "If so, go on with"), wayOn(step, "no", "If not, with")];
      case "set_field":
        return [
          input(step.name, "Field name", (value) => { step.name = value.trim(); save(); }, { list: "jb-fields" }),
          input(step.value, "Value", (value) => { step.value = value; save(); }),
        ];
      default:
        return [];
    }
  };

  const stepCard = (step, place) => {
    const move = (by) => () => {
      state.steps.splice(place, 1);
      state.steps.splice(place + by, 0, step);
      render();
    };
    const name = options.kinds.find((kind) => kind.kind === step.kind)?.name || step.kind;
    const goesOn = !["condition", "exit", "unsubscribe"].includes(step.kind);
    return make("li", { class: "jb-step", "data-step": step.id },
      make("div", { class: "jb-head" },
        make("b", {}, `${place + 1} · ${name}`),
        make("span", { class: "jb-tools" },
          button("↑", `Move step ${place + 1} up`, move(-1), { disabled: place === 0 }),
          button("↓", `Move step ${place + 1} down`, move(1), { disabled: place === state.steps.length - 1 }),
          button("×", `Remove step ${place + 1}`, () => remove(place)))),
      make("div", { class: "jb-body" }, ...stepBody(step)),
      goesOn ? wayOn(step, "next", "Then") : null,
      make("ul", { class: "jb-problems", "data-problems": step.id }));
  };

  // --- the page -------------------------------------------------------------------------------------

  const flow = make("div", { class: "jb-preview", "aria-live": "polite" });
  const render = () => {
    home("trigger").replaceChildren(
      groupEditor(state.trigger, false, null),
      make("ul", { class: "jb-problems", "data-problems": "trigger" }));
    home("steps").replaceChildren(
      make("datalist", { id: "jb-fields" }, ...options.fields.map((name) => make("option", { value: name }))),
      make("div", { class: "jb-columns" },
        make("div", {},
          make("ol", { class: "jb-steps" }, ...state.steps.map(stepCard)),
          make("ul", { class: "jb-problems", "data-problems": "" }),
          make("div", { class: "jb-head jb-add" }, ...options.kinds.map((kind) =>
            button(`+ ${kind.name}`, `Add: ${kind.name}`, () => { state.steps.push(newStep(kind.kind)); render(); })))),
        flow));
    save();
  };

  const post = (url, body) =>
    fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value },
      body: JSON.stringify(body),
    });
  const draft = () => ({ trigger: state.trigger, steps: state.steps });

  let timer = 0;
  let asked = 0;
  const save = () => {
    areas.trigger.value = JSON.stringify(state.trigger);
    areas.steps.value = JSON.stringify(state.steps);
    clearTimeout(timer);
    timer = setTimeout(preview, 250);
  };
  const preview = async () => {
    asked += 1;
    const mine = asked;
    const response = await post(urls.preview, draft());
    if (!response.ok || mine !== asked) return;
    const answer = await response.json();
    flow.innerHTML = answer.flow; // made and escaped by the server
    const known = new Set(state.steps.map((step) => step.id));
    for (const list of document.querySelectorAll("[data-problems]")) {
      const of = list.dataset.problems;
      const found = of === "trigger"
        ? answer.trigger_problems
        : answer.problems.filter((one) => (known.has(one.step) ? one.step : "") === of).map((one) => one.message);
      list.replaceChildren(...found.map((message) => make("li", {}, message)));
    }
    for (const place of document.querySelectorAll("[data-size]")) place.textContent = answer.sizes[place.dataset.size] || "";
  };

  const trial = document.querySelector("[data-trial]");
  trial?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const contact = Object.fromEntries(new FormData(trial));
    const response = await post(urls.trial, { ...draft(), contact });
    const result = document.querySelector("[data-trial-result]");
    if (response.ok) result.innerHTML = await response.text(); // made and escaped by the server
    else result.textContent = `The server answered ${response.status}.`;
  });

  render();
});
