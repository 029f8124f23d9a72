// The keyboard of the pages where people decide, and the boxes they type labels and notes in.
//
// Every press gets a number and the screen it was pressed on, and stays in the queue until the
// server says that it took it: none is lost while a run is under way, none counts twice. What a
// key means stands in the data of the screen, so a press acts on what was seen, not on what
// came since. Keys are dead while a dialog is open or on its way, and while somebody types.

const DRAFT = "autointerp draft "
const OPENING_MS = 4000
const GATHER_MS = 350
const HOLD_MS = 3000
const LOST_MS = 1500
const NO_TEXT = new Set(["checkbox", "radio", "button", "submit", "reset", "range", "file", "color", "image"])

// One for the whole page, whichever element is drawn: they share the queue.
const desk = (window[Symbol.for("autointerp desk")] ??= begin())

function begin() {
  const made = {
    data: null, send: null, queue: [], number: 0, acknowledged: 0, sentTo: 0, sentAt: 0,
    timer: 0, opening: 0, place: null, there: false, boxes: new Map(), memory: new Map(), handlers: {},
  }
  const call = (name) => (event) => made.handlers[name]?.(event)
  document.addEventListener("keydown", call("key"), true)
  document.addEventListener("click", call("click"), true)
  return made
}

// ---------------------------------------------------------------- what is on the screen

const dialogOpen = () => document.querySelector('[role="dialog"]') !== null

function typing(target) {
  if (!(target instanceof HTMLElement)) return false
  if (target.tagName === "INPUT") return !NO_TEXT.has(target.type)
  return ["TEXTAREA", "SELECT"].includes(target.tagName) || target.isContentEditable
}

/** The number in the title: while a page is being drawn it may be ahead of our data. */
function shownFeature() {
  const found = document.querySelector(".st-key-feature_number")?.textContent.match(/\d+/)
  return found ? Number(found[0]) : desk.data?.screen.feature
}

// ---------------------------------------------------------------- the queue

function add(press, shown) {
  desk.number += 1
  const entry = { ...press, number: desk.number, token: desk.data.token, at: Date.now(), shown, screen: null }
  desk.queue.push(entry)
  stamp()
  flush()
  return entry
}

/** Give presses their screen, in order; one whose screen is still being drawn waits for it. */
function stamp() {
  const now = Date.now()
  desk.queue = desk.queue.filter((p) => p.screen || now - p.at < HOLD_MS)
  for (const press of desk.queue) {
    if (press.screen) continue
    const screen = press.box ? press.box.screen() : { ...desk.data.screen, run: desk.data.run }
    if (!screen || (press.shown !== null && press.shown !== screen.feature)) return
    press.screen = screen
    if (press.key) Object.assign(press, desk.data.keys[press.key])
  }
  // A key that means nothing on the screen it waited for.
  desk.queue = desk.queue.filter((p) => !p.screen || p.do)
}

function flush() {
  clearTimeout(desk.timer)
  const waits = desk.queue.findIndex((p) => !p.screen)
  const ready = waits < 0 ? desk.queue : desk.queue.slice(0, waits)
  const fresh = ready.filter((p) => p.number > desk.sentTo)
  if (!fresh.length || !desk.there) return
  // Moves pressed while a run is under way go together: each run would cut off the one before.
  const left = desk.sentAt + GATHER_MS - Date.now()
  if (desk.sentTo > desk.acknowledged && left > 0 && fresh.every((p) => p.moves)) {
    desk.timer = setTimeout(flush, left)
    return
  }
  desk.sentTo = ready.at(-1).number
  desk.sentAt = Date.now()
  desk.send("presses", ready.map((p) => ({
    number: p.number, token: p.token, do: p.do, event: p.event ?? null, text: p.text ?? "",
    draft: "", run: 0, ...p.screen,
  })))
}

function acknowledge(data) {
  if (desk.data && desk.data.token !== data.token) {
    // The server began anew and took nothing of this. What it had saved before it ended shows
    // in the feature's last event; where that is the one seen, the press goes to the new one.
    desk.queue = desk.queue.filter((p) => !p.screen || (p.screen.feature === data.screen.feature && p.screen.seen === data.screen.seen))
    for (const press of desk.queue) {
      press.token = data.token
      if (press.screen) press.screen = { ...press.screen, run: data.run }
    }
    desk.acknowledged = desk.sentTo = 0
  }
  desk.acknowledged = Math.max(desk.acknowledged, data.taken)
  desk.number = Math.max(desk.number, data.taken)
  desk.queue = desk.queue.filter((p) => p.number > data.taken)
}

// ---------------------------------------------------------------- keys and clicks

desk.handlers.key = (event) => {
  if (!desk.place?.isConnected || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return
  if (typing(event.composedPath()[0])) return
  if (dialogOpen()) {
    desk.opening = 0
    return
  }
  if (Date.now() < desk.opening || [...desk.boxes.values()].some((box) => box.shown() && box.waiting())) return
  const key = event.key.toLowerCase()
  const meaning = desk.data.keys[key]
  if (!meaning || (event.repeat && !meaning.moves)) return
  event.preventDefault()
  if (meaning.do === "focus") {
    desk.boxes.get("label")?.focus()
    return
  }
  if (meaning.opens) desk.opening = Date.now() + OPENING_MS
  add({ key, moves: meaning.moves }, meaning.moves ? null : shownFeature())
}

desk.handlers.click = (event) => {
  if (!desk.place?.isConnected || !(event.target instanceof Element)) return
  if (event.target.closest(".st-key-override button")) desk.boxes.get("label")?.focus()
  if (event.target.closest(desk.data.opens)) desk.opening = Date.now() + OPENING_MS
}

function keyboard(component) {
  const { data, parentElement, setStateValue } = component
  acknowledge(data)
  desk.data = data
  if (desk.place !== parentElement) desk.sentTo = desk.acknowledged // another page: what is left goes again
  // Sent long ago and not taken: the connection was gone.
  if (Date.now() - desk.sentAt > LOST_MS) desk.sentTo = desk.acknowledged
  desk.place = parentElement
  desk.send = setStateValue
  desk.there = true
  stamp()
  flush()
  if (desk.opening) setTimeout(() => dialogOpen() || (desk.opening = 0), GATHER_MS)
  // Called between two drawings of a page, too: what is pressed meanwhile is kept.
  return () => {
    desk.there = false
  }
}

// ---------------------------------------------------------------- drafts

const same = (a, b) => a.split(/\s+/).join(" ").trim() === b.split(/\s+/).join(" ").trim()

function draftOf(id) {
  try {
    return JSON.parse(sessionStorage.getItem(DRAFT + id))
  } catch {
    return desk.memory.get(id) ?? null
  }
}

function keepDraft(id, draft) {
  try {
    if (draft) sessionStorage.setItem(DRAFT + id, JSON.stringify(draft))
    else sessionStorage.removeItem(DRAFT + id)
  } catch {
    // No room or not allowed: for this page at least.
  }
  if (draft) desk.memory.set(id, draft)
  else desk.memory.delete(id)
}

/** Drafts that the server saved, unless somebody has typed on since. */
function forget(saved) {
  for (const [id, number] of Object.entries(saved)) if (draftOf(id)?.sent === number) keepDraft(id, null)
}

// ---------------------------------------------------------------- boxes

const boxes = new WeakMap()

function makeBox(root, kind) {
  const note = kind === "note"
  const field = make(note ? "textarea" : "input")
  const name = make("label", "name", note ? "Note" : "Your label")
  const button = make("button", "save", note ? "Save note" : "Save")
  const count = make("span", "count")
  const hint = make("span", "hint")
  const discard = make("button", "discard", "Discard")
  field.id = "field"
  name.htmlFor = "field"
  if (!note) field.type = "text"
  field.dir = "auto"
  field.autocomplete = "off"
  field.setAttribute("aria-describedby", "count hint")
  field.placeholder = note ? "for yourself and others" : "at most 9 words"
  button.type = discard.type = "button"
  count.id = "count"
  hint.id = "hint"
  count.setAttribute("aria-live", "polite")
  const line = make("div", "line")
  line.append(field, button)
  const below = make("div", "below")
  below.append(hint, discard, count)
  root.replaceChildren(name, line, below)

  let data = null
  let sent = 0 // the press that saves what is in the box, until the server took it
  let floating = null // the text before, where the page is about to show another feature

  const changed = () => !same(field.value, data.text)
  function draw() {
    const text = field.value.trim()
    const words = text ? text.split(/\s+/).length : 0
    const over = []
    if (!note && words > data.words) over.push(`${words} words: at most ${data.words}`)
    if (text.length > data.characters) over.push(`${text.length} characters: at most ${data.characters}`)
    const near = text.length > 0.8 * data.characters ? `${text.length} of ${data.characters} characters` : ""
    count.textContent = over.join(" · ") || near || (note ? "" : `${words} of ${data.words} words`)
    count.classList.toggle("over", over.length > 0)
    field.classList.toggle("over", over.length > 0)
    field.setAttribute("aria-invalid", String(over.length > 0))
    const accepts = !note && !changed() && text && data.status === "unreviewed"
    const elsewhere = !note && draftOf(data.other) ? "The note is not saved yet." : ""
    hint.textContent = changed() ? "Not saved yet." : elsewhere || (accepts ? "Enter accepts it." : "")
    discard.hidden = !changed()
    button.textContent = note ? "Save note" : accepts ? "Accept" : "Save"
  }
  const keep = () => keepDraft(data.id, changed() ? { text: field.value } : null)
  const release = () => {
    sent = 0
    field.readOnly = button.disabled = false
  }
  function save() {
    if (sent || !desk.data) return
    if (!desk.data.author) desk.opening = Date.now() + OPENING_MS
    const press = add({ do: kind, text: field.value, box: api }, null)
    sent = press.number
    keepDraft(data.id, { text: field.value, sent })
    field.readOnly = button.disabled = true
    setTimeout(() => sent === press.number && (release(), draw()), 2 * OPENING_MS)
  }
  field.oninput = () => {
    keep()
    draw()
  }
  field.onkeydown = (event) => {
    if (event.isComposing) return
    if (event.key === "Escape") field.blur()
    if (event.key !== "Enter" || (note && !event.ctrlKey && !event.metaKey)) return
    event.preventDefault()
    save()
  }
  button.onclick = save
  discard.onclick = () => {
    keepDraft(data.id, null)
    field.value = data.text
    draw()
    field.focus()
  }

  const api = {
    screen: () => (floating === null ? { ...data.screen, draft: data.id, run: data.run } : null),
    shown: () => field.isConnected,
    waiting: () => sent > 0,
    focus() {
      // A move that is under way: what is typed from now on is meant for the feature it shows.
      if (desk.queue.length && floating === null) floating = draftOf(data.id)?.text ?? data.text
      field.focus()
      field.select()
    },
    update(fresh) {
      forget(fresh.saved)
      const moved = data !== null && data.id !== fresh.id
      const inside = moved && floating !== null && root.getRootNode().activeElement === field
      if (inside && field.value !== floating) {
        keepDraft(data.id, same(floating, data.text) ? null : { text: floating })
        keepDraft(fresh.id, { text: field.value, ...(sent ? { sent } : {}) })
      }
      data = fresh
      const left = desk.queue.filter((p) => p.number > fresh.taken && p.box !== api)
      if (!left.length) floating = null
      else if (floating !== null && moved) floating = draftOf(fresh.id)?.text ?? fresh.text
      const draft = draftOf(data.id)
      if (draft && same(draft.text, data.text)) keepDraft(data.id, null)
      const wanted = draftOf(data.id)?.text ?? data.text
      if (field.value !== wanted) {
        field.value = wanted
        if (inside) field.select()
      }
      if (sent && fresh.taken >= sent) {
        release()
        if (fresh.refused === "") field.blur()
      }
      draw()
      stamp()
      flush()
    },
  }
  desk.boxes.set(kind, api)
  return api
}

export default function (component) {
  const { data, parentElement } = component
  if (data.kind === "keyboard") return keyboard(component)
  const root = parentElement.querySelector(".root")
  root.classList.toggle("dark", isDark(parentElement.host ?? parentElement))
  root.classList.add(data.kind)
  if (!boxes.has(root)) boxes.set(root, makeBox(root, data.kind))
  const box = boxes.get(root)
  desk.boxes.set(data.kind, box)
  box.update(data)
}
