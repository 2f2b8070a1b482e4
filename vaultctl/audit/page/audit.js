// The table of records: filter, order, pages. What the records say is only ever put in as text (append, textContent).
"use strict";
(() => {
  // A record's columns, as vaultctl writes them: numbers first, then places in the list of words.
  const SEQ = 0, TIME = 1, BYTES = 2, EMERGENCY = 3, WHO = 4, WHY = 5, EVENT = 6, OUTCOME = 7, PATIENT = 8, PURPOSE = 9,
    FILE = 10, DETAIL = 11;
  const TEXTS = [WHO, WHY, EVENT, OUTCOME, PATIENT, PURPOSE, FILE, DETAIL];
  const PAGE = 100, DAY = 86400, TYPING = 150;
  const COLUMNS = [["No.", SEQ], ["Time (UTC)", TIME], ["Service", WHO], ["Event", EVENT], ["Outcome", OUTCOME],
    ["Patient", PATIENT], ["Purpose", PURPOSE], ["Reasons and particulars", WHY]];

  const byId = (id) => document.getElementById(id);
  const rows = JSON.parse(byId("rows").textContent);
  const words = JSON.parse(byId("words").textContent);
  let lowered = null, ranks = null;
  let found = rows, first = 0, sorted = SEQ, descending = false;

  // An element with attributes, whose names are this file's own, and with children; a string is text.
  function make(name, attributes, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  const number = (n) => n.toLocaleString("en");
  const time = (seconds) => seconds ? new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ") : "";

  // ---- filter and order ----

  function wordsWith(text) {
    lowered ??= words.map((word) => word.toLowerCase());
    return lowered.map((word) => word.includes(text));
  }

  function filter() {
    const text = byId("search").value.trim().toLowerCase();
    const has = text && wordsWith(text);
    const exact = [["service", WHO], ["event", EVENT]].map(([id, column]) => [byId(id).value, column]);
    const outcome = byId("outcome").value;
    if (outcome !== "emergency") exact.push([outcome, OUTCOME]);
    const wanted = exact.filter(([value]) => value !== "").map(([value, column]) => [Number(value), column]);
    const from = byId("from").value ? Date.parse(byId("from").value) / 1000 : -Infinity;
    const to = byId("to").value ? Date.parse(byId("to").value) / 1000 + DAY : Infinity;
    found = rows.filter((row) => row[TIME] >= from && row[TIME] < to
      && (outcome !== "emergency" || row[EMERGENCY] === 1)
      && wanted.every(([value, column]) => row[column] === value)
      && (!has || String(row[SEQ]) === text || TEXTS.some((column) => has[row[column]])));
  }

  // Where each word comes in the order of all.
  function rankWords() {
    const places = words.map((_, place) => place).sort((a, b) => words[a] < words[b] ? -1 : words[a] > words[b] ? 1 : 0);
    ranks = new Int32Array(words.length);
    places.forEach((place, rank) => { ranks[place] = rank; });
  }

  function order() {
    const sign = descending ? -1 : 1;
    if (TEXTS.includes(sorted) && !ranks) rankWords();
    const key = TEXTS.includes(sorted) ? (row) => ranks[row[sorted]] : (row) => row[sorted];
    if (sorted !== SEQ || descending) found = [...found].sort((a, b) => sign * (key(a) - key(b)) || a[SEQ] - b[SEQ]);
  }

  function apply() {
    filter();
    order();
    first = 0;
    show();
  }

  // ---- what is shown ----

  function cell(label, ...children) {
    return make("td", { role: "cell", "data-label": label }, ...children);
  }

  // May be broken after each parameter.
  function purpose(text) {
    return text.split(";").flatMap((part, n) => n === 0 ? [part] : [";", make("wbr", {}), part]);
  }

  function particulars(row) {
    const parts = [];
    const part = (style, ...children) => parts.push(make("p", { class: style }, ...children));
    if (row[WHY]) part("why", words[row[WHY]]);
    if (row[DETAIL]) part("detail", words[row[DETAIL]]);
    if (row[BYTES]) part("detail", `${number(row[BYTES])} bytes`);
    if (row[FILE]) part("detail", "File ", make("code", {}, words[row[FILE]]));
    return parts;
  }

  function outcomeOf(row) {
    const word = words[row[OUTCOME]];
    const style = word === "denied" || word === "permitted" ? word : "other";
    const badge = [make("span", { class: `badge ${style}` }, word)];
    if (row[EMERGENCY]) badge.push(" ", make("span", { class: "badge emergency" }, "emergency"));
    return badge;
  }

  function line(row) {
    return make("tr", { role: "row" },
      make("th", { scope: "row", role: "rowheader", "data-label": "No." }, String(row[SEQ])),
      cell("Time (UTC)", time(row[TIME])), cell("Service", words[row[WHO]]), cell("Event", words[row[EVENT]]),
      cell("Outcome", ...outcomeOf(row)), cell("Patient", words[row[PATIENT]]), cell("Purpose", ...purpose(words[row[PURPOSE]])),
      cell("Reasons and particulars", ...particulars(row)));
  }

  const lastPage = () => Math.max(0, Math.ceil(found.length / PAGE) - 1) * PAGE;

  // A button that is no use now says so, and keeps the focus.
  function enable(id, useful) {
    byId(id).setAttribute("aria-disabled", String(!useful));
  }

  function show() {
    const end = Math.min(first + PAGE, found.length);
    byId("lines").replaceChildren(...found.slice(first, end).map(line));
    const all = found.length === rows.length ? "" : ` that match, among all ${number(rows.length)}`;
    byId("shown").textContent = found.length === 0 ? "No record matches."
      : `Records ${number(first + 1)} to ${number(end)} of ${number(found.length)}${all}`;
    enable("first", first > 0);
    enable("previous", first > 0);
    enable("next", first < lastPage());
    enable("last", first < lastPage());
    for (const [n, [, column]] of COLUMNS.entries()) {
      const state = column !== sorted ? "none" : descending ? "descending" : "ascending";
      byId("heads").children[n].setAttribute("aria-sort", state);
    }
  }

  function turn(to) {
    first = Math.min(Math.max(0, to), lastPage());
    show();
  }

  function sortBy(column) {
    descending = sorted === column && !descending;
    sorted = column;
    apply();
  }

  function clear() {
    for (const id of ["search", "service", "event", "outcome", "from", "to"]) byId(id).value = "";
    apply();
  }

  // ---- what it is made of ----

  function field(id, label, control) {
    control.id = id;
    return make("div", {}, make("label", { for: id }, label), control);
  }

  function choice(column) {
    const places = [...new Set(rows.map((row) => row[column]))].filter((place) => place !== 0);
    places.sort((a, b) => words[a] < words[b] ? -1 : 1);
    return make("select", {}, make("option", { value: "" }, "all"),
      ...places.map((place) => make("option", { value: place }, words[place])));
  }

  function button(id, text, act) {
    const made = make("button", { type: "button", id }, text);
    made.addEventListener("click", act);
    return made;
  }

  function head([text, column]) {
    const made = make("button", { type: "button" }, text);
    made.addEventListener("click", () => sortBy(column));
    return make("th", { scope: "col", role: "columnheader" }, made);
  }

  function build() {
    const outcome = choice(OUTCOME);
    outcome.append(make("option", { value: "emergency" }, "permitted in an emergency"));
    byId("table").append(
      make("fieldset", { class: "filter" }, make("legend", {}, "Filter"),
        field("search", "Search in all texts", make("input", { type: "search", autocomplete: "off", spellcheck: "false" })),
        field("service", "Service", choice(WHO)), field("event", "Event", choice(EVENT)), field("outcome", "Outcome", outcome),
        field("from", "From (day)", make("input", { type: "date" })), field("to", "Until (day)", make("input", { type: "date" })),
        button("clear", "Clear the filter", clear)),
      make("div", { class: "pages" }, make("p", { id: "shown", role: "status" }),
        button("first", "First", () => turn(0)), button("previous", "Previous", () => turn(first - PAGE)),
        button("next", "Next", () => turn(first + PAGE)), button("last", "Last", () => turn(lastPage()))),
      make("table", { id: "records", role: "table" },
        make("caption", {}, `Records, ${PAGE} at a time. The heads of the columns sort.`),
        make("thead", { role: "rowgroup" }, make("tr", { id: "heads", role: "row" }, ...COLUMNS.map(head))),
        make("tbody", { id: "lines", role: "rowgroup" })));
  }

  function listen() {
    let timer = 0;
    byId("search").addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(apply, TYPING);
    });
    for (const id of ["service", "event", "outcome", "from", "to"]) byId(id).addEventListener("change", apply);
    for (const shortcut of document.querySelectorAll("button.show")) {
      shortcut.hidden = false;
      shortcut.addEventListener("click", () => showOutcome(shortcut.dataset.outcome));
    }
  }

  function showOutcome(name) {
    clear();
    const option = [...byId("outcome").options].find((o) => name === "emergency" ? o.value === name : o.textContent === name);
    byId("outcome").value = option.value;
    apply();
    byId("records-section").focus();
  }

  build();
  listen();
  show();
})();
