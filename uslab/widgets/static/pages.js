// A page between the images: paragraphs, a form and buttons, all as the kernel words them.

// The field's control; `value()` reads it: text, number, true, or null for what was left open.
function control(field) {
  const properties = { name: field.name, required: !!field.required, "aria-label": field.label };
  if (field.kind === "choice") {
    return element("select", properties, element("option", { value: "", text: "–" }),
      ...field.options.map((text) => element("option", { value: text, text })));
  }
  if (field.kind === "long") return element("textarea", { ...properties, rows: 3, maxlength: 2000 });
  const types = { check: "checkbox", number: "number" };
  const limits = field.kind === "number" ? { min: field.min ?? 0, max: field.max ?? 120, step: "any" } : { maxlength: 200 };
  return element("input", { ...properties, type: types[field.kind] ?? "text", autocomplete: "off", ...limits });
}

function read(input) {
  if (input.type === "checkbox") return input.checked;
  if (input.value === "") return null;
  return input.type === "number" ? input.valueAsNumber : input.value;
}

// `send(message)` is called with a button's message, and with the form's values where the button asks for them.
function makePage(page, send) {
  const inputs = (page.fields ?? []).map((field) => [field, control(field)]);
  const rows = inputs.map(([field, input]) => element("label", { class: field.kind },
    ...(field.kind === "check" ? [input, element("span", { text: field.label })]
      : [element("span", { text: field.required ? field.label : say("optional", { label: field.label }) }), input])));
  const form = element("form", { class: "page", onsubmit: (event) => event.preventDefault() },
    element("h2", { text: page.title }), ...page.text.map((text) => element("p", { text })), ...rows);
  const buttons = page.buttons.map((button) => element("button", { type: "button", class: button.quiet ? "quiet" : "",
    onclick: () => {
      if (button.form && !form.reportValidity()) return;
      const values = Object.fromEntries(inputs.map(([field, input]) => [field.name, read(input)]));
      send(button.form ? { ...button.message, form: values } : button.message);
    } }, button.text, ...(button.quiet || inputs.length ? [] : [element("kbd", { text: say("enter") })])));
  form.append(element("div", { class: "buttons" }, ...buttons));
  return form;
}
