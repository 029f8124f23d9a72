// Asks the server now and then whether it is there, and says so in words when it is not.

const EVERY_MS = 1500
const PATIENCE_MS = 2500
const TEXT =
  "The server does not answer: it was stopped, or the connection is down. What was decided before " +
  "is saved. Start it again (make app), and this page goes on by itself."

// One for the whole page, whichever run drew the element.
const pulse = (window[Symbol.for("autointerp pulse")] ??= { timer: 0, root: null, gone: false })

function say(gone) {
  pulse.gone = gone
  const root = pulse.root
  if (!root) return
  if (!gone) root.replaceChildren()
  else if (!root.firstChild) {
    const box = make("div", "gone", TEXT)
    box.setAttribute("role", "alert")
    root.append(box)
  }
}

async function ask() {
  let there = false
  try {
    const answer = await fetch(new URL("_stcore/health", document.baseURI), {
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
    there = answer.ok
  } catch {
    there = false
  }
  say(!there)
  pulse.timer = setTimeout(ask, EVERY_MS)
}

export default function (component) {
  pulse.root = component.parentElement.querySelector(".root")
  say(pulse.gone)
  if (!pulse.timer) pulse.timer = setTimeout(ask, EVERY_MS)
}
