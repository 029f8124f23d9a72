// Moves the keyboard into a text box when the page asks for it, and out again on Escape.

let last = null
let installed = false

const boxes = () => document.querySelectorAll(".st-key-label_edit input, .st-key-label_edit textarea")

function leave(event) {
  if (event.key === "Escape" && [...boxes()].includes(document.activeElement)) document.activeElement.blur()
}

export default function (component) {
  const { data } = component
  if (!installed) {
    document.addEventListener("keydown", leave)
    installed = true
  }
  if (data.ask && data.ask !== last) {
    const box = [...boxes()].at(-1)
    box?.focus()
    box?.select()
  }
  last = data.ask
}
