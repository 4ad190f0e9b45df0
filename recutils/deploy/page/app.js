"use strict";

const at = (id) => document.getElementById(id);
const part = encodeURIComponent;
const KINDS = { // label, hint, and an example, which comes from the bundle that is served
  user: ["The person's id", "Somebody unknown gets the most popular items.", ""],
  items: ["Ids of liked items", "With commas between them.", ""],
  text: ["What you look for, in your own words", "Whole sentences are welcome.", ""],
  search: ["Words", "Found by shared words and by meaning.", ""],
  similar: ["The item's id", "Shows what is like it.", ""],
};
let latest = 0; // only the newest question may write its answer

const kind = () => document.querySelector("input[name=kind]:checked").value;

/** Address and options of what the form asks. */
function asked(given, k) {
  const post = (body) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (kind() === "user") return [`/v1/users/${part(given)}/recommendations?k=${k}`, {}];
  if (kind() === "similar") return [`/v1/items/${part(given)}/similar?k=${k}`, {}];
  if (kind() === "search") return [`/v1/search?q=${part(given)}&k=${k}`, {}];
  if (kind() === "text") return ["/v1/recommendations/text", post({ text: given, k })];
  return ["/v1/recommendations", post({ items: given.split(",").map((id) => id.trim()).filter(Boolean), k })];
}

/** The service's answer as JSON; its own words where it refuses, plain ones where it cannot be reached. */
async function call(address, options = {}) {
  const key = at("key").value;
  const headers = { ...(options.headers || {}), ...(key ? { "x-api-key": key } : {}) };
  let answer, told;
  try {
    answer = await fetch(address, { ...options, headers });
    told = await answer.json();
  } catch {
    throw new Error("the service cannot be reached, or did not answer in its own form. Is it still running?");
  }
  if (!answer.ok) throw new Error(`${told.error.message} (${told.error.cure})`);
  return told;
}

function say(text, bad = false) {
  at("note").textContent = text;
  at("note").classList.toggle("bad", bad);
}

function row(item) {
  const made = document.createElement("tr");
  for (const [value, number] of [[item.rank, true], [item.title, false], [item.item_id, false], [item.score.toPrecision(4), true]]) {
    const cell = made.appendChild(document.createElement("td"));
    cell.textContent = value;
    cell.classList.toggle("number", number);
  }
  const go = made.appendChild(document.createElement("td")).appendChild(document.createElement("button"));
  go.type = "button";
  go.textContent = "similar";
  go.setAttribute("aria-label", `Items similar to ${item.title}`);
  go.addEventListener("click", () => { choose("similar", item.item_id); ask(); });
  return made;
}

function show(told) {
  at("list").tBodies[0].replaceChildren(...told.items.map(row));
  at("how").textContent = `Found by: ${told.how} (bundle ${told.version})`;
  at("list").hidden = told.items.length === 0;
  say(told.note || (told.items.length ? "" : "The list is empty."));
}

/** Another kind of question, with what is given or an example of its own. */
function choose(name, given = KINDS[name][2]) {
  document.querySelector(`input[name=kind][value=${name}]`).checked = true;
  [at("asks").textContent, at("hint").textContent] = KINDS[name];
  at("given").value = given;
}

async function ask() {
  const given = at("given").value.trim(), k = Number(at("k").value), mine = ++latest;
  if (!given) { at("given").focus(); return say("Please fill in the field first.", true); }
  if (!Number.isInteger(k) || k < 1 || k > 100) { at("k").focus(); return say("A list has 1 to 100 items.", true); }
  const button = document.querySelector("button[type=submit]");
  button.disabled = true;
  history.replaceState(null, "", `#${kind()}=${part(given)}`);
  try {
    const told = await call(...asked(given, k));
    if (mine === latest) show(told);
  } catch (fault) {
    at("list").hidden = true;
    say(`No list: ${fault.message}`, true);
  } finally {
    button.disabled = false;
  }
}

at("kinds").addEventListener("change", () => choose(kind()));
at("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(); });

/** What is served, and examples of it; without a key, where the service wants one, its version only. */
async function served() {
  try {
    const now = await call("/ready"), told = await call("/version").catch(() => null);
    const what = told ? `${told.model} on ${told.data.name || "unnamed data"} (${told.n_users} people, ${told.n_items} items), bundle ${now.version},` : `Bundle ${now.version}`;
    at("served").textContent = `${what} is served; texts are met by ${now.texts}.`;
    if (told) exemplify(told.examples);
  } catch (fault) {
    at("served").textContent = `Not ready: ${fault.message}`;
  }
}

function exemplify(examples) {
  const { user_ids: people, item_ids: items } = examples;
  const found = { user: people[0], items: items.join(", "), text: examples.text, search: examples.words, similar: items[0] };
  for (const name of Object.keys(KINDS)) KINDS[name][2] = found[name] || "";
  KINDS.items[1] = `With commas between them, such as ${found.items}`;
}

at("key").addEventListener("change", () => served().then(() => { if (!at("given").value) choose(kind()); }));

/** An address such as /#user=1 asks at once, so that a list can be linked to. */
function linked() {
  const [name, ...rest] = location.hash.slice(1).split("=");
  if (!Object.hasOwn(KINDS, name)) return choose("user");
  try {
    choose(name, decodeURIComponent(rest.join("=")) || undefined);
  } catch {
    return choose(name); // not an address that this page made
  }
  if (rest.length) ask();
}

served().then(linked);
