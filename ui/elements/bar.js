// Where the navigation ends, so that the frame beside it begins there whatever pages there are.

const bar = (window[Symbol.for("autointerp bar")] ??= { watching: null })

function fit() {
  const links = [...document.querySelectorAll('[data-testid="stTopNavLink"], [data-testid="stTopNavSection"]')]
  const end = Math.max(0, ...links.map((link) => link.getBoundingClientRect().right))
  if (end) document.documentElement.style.setProperty("--nav-end", `${Math.ceil(end)}px`)
}

export default function () {
  fit()
  if (bar.watching) return
  // Links come and go with the window's width, and their fonts after them.
  bar.watching = new ResizeObserver(fit)
  bar.watching.observe(document.documentElement)
  const header = document.querySelector('[data-testid="stHeader"]')
  if (header) new MutationObserver(fit).observe(header, { childList: true, subtree: true })
  document.fonts?.ready.then(fit)
}
