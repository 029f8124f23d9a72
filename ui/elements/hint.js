// A line of explanation that goes away for good when it was read.

export default function (component) {
  const { data, parentElement } = component
  const root = parentElement.querySelector(".root")
  const host = parentElement.host ?? parentElement
  root.classList.toggle("dark", isDark(host))
  const key = `autointerp hint ${data.name}`
  const place = host.closest('[data-testid="stElementContainer"]')
  const read = () => {
    try {
      return localStorage.getItem(key) !== null
    } catch {
      return false // a browser that keeps nothing is told each time
    }
  }
  const hide = () => {
    root.replaceChildren()
    if (place) place.style.display = "none"
  }
  if (read()) {
    hide()
    return
  }
  if (root.firstChild) return
  const button = make("button", "", "Dismiss")
  button.type = "button"
  button.addEventListener("click", () => {
    try {
      localStorage.setItem(key, "read")
    } finally {
      hide()
    }
  })
  root.append(make("span", "", data.text), button)
}
