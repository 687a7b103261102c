/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import LlmSuggest.Server

public meta section

/-!
# A panel that suggests without being asked

After `import LlmSuggest.Panel` and `show_panel_widgets [local llmSuggestPanel]`, the infoview shows
what `llmsuggest` would list for the goal at the cursor. A click on a suggestion writes it there.
The model is asked once the cursor has rested for a moment, beside everything else that Lean does,
and the request ends when the cursor moves on. A link searches for a whole proof, as `llmprove`
does, and shows its progress.

Nothing but Lean is needed: the panel is a user widget of core's, which calls `Panel.suggest`.
-/

/-- A panel of the infoview with suggestions for the goal at the cursor:

```
show_panel_widgets [local llmSuggestPanel]
``` -/
@[widget_module]
def llmSuggestPanel : Lean.Widget.Module where
  javascript := LlmSuggest.entriesScript ++ r"
import { TaggedText_stripTags, useClientNotificationEffect } from '@leanprover/infoview'

// How long the cursor rests before the model is asked, in milliseconds.
const REST = 300
// How long it takes, where there is no daemon, until it is looked for again.
const RETRY = 3000
// The time between two requests for the progress of a search.
const PROGRESS = 500
// Whether the panel is open; kept while the cursor is where there is none.
let wasOpen = true

// What the goal says. Its name inside Lean changes whenever Lean looks at the file again.
function asText(goal) {
  const hypotheses = goal.hyps.map(({ names, type, val }) =>
    [names.join(' '), type, val].map(part =>
      part && typeof part === 'object' ? TaggedText_stripTags(part) : part))
  return JSON.stringify([hypotheses, TaggedText_stripTags(goal.type)])
}

const link = (text, title, onClick) =>
  e('a', { className: 'link pointer dim', title, onClick }, text)
const counted = (n, what) => `${n} ${what}${n === 1 ? '' : 's'}`

// A search for a proof of the goal where the cursor was when it began. It continues while the
// cursor moves. An edit ends it.
function Proof({ rpc, pos, edits }) {
  const [client] = React.useState(newClient)
  const [search, setSearch] = React.useState(undefined)
  const end = React.useRef(() => {})
  const stop = () => {
    end.current()
    setSearch(undefined)
  }
  React.useEffect(() => stop, [edits])

  const start = async () => {
    const at = { line: pos.line, character: pos.character }
    const abort = new AbortController()
    const began = Date.now()
    const timer = setInterval(async () => {
      const progress = await rpc.call('LlmSuggest.Panel.progress', client).catch(() => undefined)
      if (progress && !abort.signal.aborted)
        setSearch({ at, progress, seconds: Math.round((Date.now() - began) / 1000) })
    }, PROGRESS)
    end.current = () => {
      abort.abort()
      clearInterval(timer)
    }
    setSearch({ at })
    const reply = await askAt(rpc, 'prove', at, client, abort.signal)
    if (abort.signal.aborted) return
    end.current()
    setSearch({ at, reply })
  }

  if (!search) return link('[search for a proof]', 'Search for a whole proof of this goal', start)
  const { at, progress, seconds, reply } = search
  if (!reply) {
    const { openGoals, provedGoals, steps } = progress ?? {}
    const state = progress && `: ${counted(openGoals, 'goal')} open, ${provedGoals} proved, ` +
      `${counted(steps, 'step')}, ${seconds} s`
    return e('span', {},
      e('span', { className: 'o-60' },
        `Searching for a proof for line ${at.line + 1}${state ?? ' …'} `),
      link('[stop]', 'Stop the search', stop))
  }
  return e('span', {},
    reply.entries.length > 0 && e(Entries, {
      uri: pos.uri, version: reply.version, entries: reply.entries,
      header: `For line ${at.line + 1}${reply.sentNote ?? ''}:` }),
    reply.message && e('div', { className: 'pre-wrap' }, reply.message + ' ',
      link('[search again]', 'Search for a whole proof of this goal', start)))
}

export default function LlmSuggestPanel({ pos, goals }) {
  const rpc = React.useContext(RpcContext)
  const [client] = React.useState(newClient)
  const [isOpen, setOpen] = React.useState(wasOpen)
  const [edits, setEdits] = React.useState(0)
  const [reply, setReply] = React.useState(undefined)
  const goal = goals.length > 0 ? asText(goals[0]) : ''
  useClientNotificationEffect('textDocument/didChange', () => setEdits(n => n + 1), [])

  React.useEffect(() => {
    setReply(undefined)
    if (!isOpen || !goal) return
    const abort = new AbortController()
    let timer
    const ask = async () => {
      const position = { line: pos.line, character: pos.character }
      const reply = await askAt(rpc, 'suggest', position, client, abort.signal)
      if (abort.signal.aborted) return
      setReply(reply)
      // A daemon that has been started meanwhile is found without a click.
      if (reply.isAbsent) timer = setTimeout(ask, RETRY)
    }
    timer = setTimeout(ask, REST)
    return () => {
      clearTimeout(timer)
      abort.abort()
    }
  }, [rpc, pos.uri, pos.line, pos.character, goal, edits, isOpen])

  if (!goal) return null
  const shown =
    reply === undefined ? e('span', { className: 'o-60' }, 'Asking the model …')
    : reply.message ? e('span', { className: 'pre-wrap' }, reply.message)
    : e('pre', { className: 'ma0' }, e(Entries, {
        // Other suggestions have links of their own, which no click has used up.
        key: JSON.stringify(reply),
        uri: pos.uri, version: reply.version, header: headerOf(reply),
        entries: reply.entries }))
  return e('details', { open: isOpen, onToggle: event => setOpen(wasOpen = event.target.open) },
    e('summary', { className: 'mv2 pointer non-selectable' }, 'Suggestions'),
    e('div', { className: 'ml1', id: 'llmsuggest-panel' }, shown),
    e('div', { className: 'ml1 mt2', id: 'llmsuggest-proof' }, e(Proof, { rpc, pos, edits })))
}
"
