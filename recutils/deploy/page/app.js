"use strict";

const at = (id) => document.getElementById(id);
const part = encodeURIComponent;

/** Address and options of what the form asks. */
function asked(kind, given, k) {
  const post = (body) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (kind === "user") return [`/v1/users/${part(given)}/recommendations?k=${k}`, {}];
  if (kind === "similar") return [`/v1/items/${part(given)}/similar?k=${k}`, {}];
  if (kind === "search") return [`/v1/search?q=${part(given)}&k=${k}`, {}];
  if (kind === "text") return ["/v1/recommendations/text", post({ text: given, k })];
  return ["/v1/recommendations", post({ items: given.split(",").map((id) => id.trim()).filter(Boolean), k })];
}

/** The service's answer as JSON; its own words where it refuses. */
async function call(address, options = {}) {
  const key = at("key").value;
  const headers = { ...(options.headers || {}), ...(key ? { "x-api-key": key } : {}) };
  const answer = await fetch(address, { ...options, headers });
  const told = await answer.json();
  if (!answer.ok) throw new Error(`${told.error.message} (${told.error.cure})`);
  return told;
}

function show(told) {
  const body = at("list").tBodies[0];
  body.replaceChildren(...told.items.map((item) => {
    const row = document.createElement("tr");
    for (const value of [item.rank, item.item_id, item.title, item.score.toPrecision(4)]) {
      row.appendChild(document.createElement("td")).textContent = value;
    }
    return row;
  }));
  at("how").textContent = `Found by: ${told.how} (bundle ${told.version})`;
  at("list").hidden = told.items.length === 0;
  at("note").textContent = told.note;
}

at("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    show(await call(...asked(at("kind").value, at("given").value.trim(), Number(at("k").value))));
  } catch (fault) {
    at("list").hidden = true;
    at("note").textContent = `No list: ${fault.message}`;
  }
});

call("/ready").then(
  (told) => { at("served").textContent = `Bundle ${told.version} is served.`; },
  (fault) => { at("served").textContent = `Not ready: ${fault.message}`; },
);
