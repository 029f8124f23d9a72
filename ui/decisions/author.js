// Remembers, in this browser only, by which name a person signs their decisions.
// A cookie, because the server can read it with the first request of a new session.

export default function (component) {
  const name = component.data.name
  if (!name) return
  const year = 365 * 24 * 3600
  document.cookie = `autointerp_author=${encodeURIComponent(name)}; path=/; max-age=${year}; samesite=lax`
}
