// Remembers, in this browser only, by which name a person signs their decisions, and moves the
// keyboard into the box that asks for it.
// A cookie, because the server can read it with the first request of a new session.

const TRIES = 40
const EVERY_MS = 25

/** A dialog takes the focus itself while it opens: ask until the box has it. */
function focusOn(selector, left = TRIES) {
  const box = document.querySelector(selector)
  const active = document.activeElement
  if (box && active === box) return
  if (box && !(active instanceof HTMLInputElement)) box.focus()
  if (left > 0) setTimeout(() => focusOn(selector, left - 1), EVERY_MS)
}

const asked = new WeakSet()

export default function (component) {
  const { data, parentElement } = component
  if (data.focus && !asked.has(parentElement)) {
    asked.add(parentElement)
    focusOn(data.focus)
  }
  if (!data.name) return
  const year = 365 * 24 * 3600
  document.cookie = `autointerp_author=${encodeURIComponent(data.name)}; path=/; max-age=${year}; samesite=lax`
}
