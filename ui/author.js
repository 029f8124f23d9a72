// Remembers, in this browser only, by which name a person signs their decisions.

const KEY = "autointerp-author"

export default function (component) {
  const { data, setStateValue } = component
  if (data.name) {
    localStorage.setItem(KEY, data.name)
    return
  }
  const stored = localStorage.getItem(KEY)
  if (stored) setStateValue("name", stored)
}
