/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import LlmSuggest.Discovery

public meta section

/-!
# Asking the daemon

A request is one run of `curl`, which supports Unix sockets, time limits and HTTP. The goal
and the token go to its standard input, so that neither appears in the list of processes.
-/

namespace LlmSuggest

open Lean

/-- A request for suggestions. -/
structure Request where
  /-- The goals as Lean prints them, one at least. -/
  goals : Array String
  /-- The text with which each suggestion starts. -/
  «prefix» : String
  /-- The number of suggestions. -/
  n : Nat
  /-- The client's name. A newer request with the same name supersedes the older one. -/
  client : String
  /-- The file above, for models that were trained with it; the daemon ignores it for others. -/
  context : String := ""
  /-- The theorem's name, for models that were trained with it. -/
  name : String := ""

/-- A request as the daemon takes it. -/
instance : ToJson Request where
  toJson request := .mkObj [
    match request.goals with
      | #[goal] => ("goal", toJson goal)
      | goals => ("goals", toJson goals),
    ("prefix", toJson request.prefix), ("n", toJson request.n), ("client", toJson request.client),
    ("context", toJson request.context), ("name", toJson request.name)]

/-- A suggestion as the model made it. -/
structure Answer where
  /-- The tactic, with the prefix that was asked for. -/
  text : String
  /-- The mean log probability of a token. -/
  score : Float
  /-- Whether the model came to its end before the limit of tokens. -/
  finished? : Option Bool := none
  deriving FromJson

/-- The answers for one of several goals. -/
structure Result where
  /-- The suggestions, the best first. -/
  suggestions : Array Answer
  deriving FromJson

/-- The time limits of a request. -/
structure Patience where
  /-- Seconds for the answer of a model that is loaded. -/
  timeout : Nat
  /-- Seconds for loading the model and answering. -/
  loadTimeout : Nat

/-- The arguments and the standard input for the `curl` that calls the daemon, with a body if it
posts one. -/
def Daemon.curl (daemon : Daemon) (path : String) (body? : Option String) (timeout : Nat) :
    IO (Array String × String) := do
  let args := #["-q", "--silent", "--show-error", "--noproxy", "*", "--connect-timeout", "2",
    "--max-time", toString timeout, "--max-filesize", "1048576", "--write-out", "\n%{http_code}",
    "--header", "Content-Type: application/json"]
  match daemon with
  | .socket file =>
    let data := if body?.isSome then #["--data-binary", "@-"] else #[]
    return (args ++ #["--unix-socket", file] ++ data ++ #[s!"http://localhost{path}"],
      body?.getD "")
  | .port url tokenFile =>
    let token ← try IO.FS.readFile tokenFile catch _ =>
      throw <| IO.userError s!"{tokenFile} cannot be read. {startHint}"
    let header := s!"header = {quote s!"Authorization: Bearer {token.trimAscii}"}\n"
    let data := match body? with
      | some body => s!"data-binary = {quote body}\n"
      | none => ""
    return (args ++ #["--config", "-", url ++ path], header ++ data)
where
  /-- A text as a value in curl's configuration. -/
  quote (text : String) : String :=
    "\"" ++ (text.replace "\\" "\\\\").replace "\"" "\\\"" ++ "\""

/-- The message when the daemon does not answer in time. -/
def lateMessage (timeout : Nat) (isLoading : Bool) : String :=
  let (state, option) := if isLoading then (": the model is still being loaded", "loadTimeout")
    else ("", "timeout")
  s!"no answer within {timeout} s{state}. `llmsuggestd status` shows what the daemon is doing; \
    `set_option llmsuggest.{option}` sets the limit."

/-- `curl`'s exit code when it has run out of time. -/
def curlTimeout : UInt32 := 28

/-- The message when `curl` ends with another exit code than 0. -/
def curlFailure (exitCode : UInt32) (stderr : String) : String :=
  match exitCode with
  | 255 => "the program `curl` cannot be run. Install it, or put it on the editor's PATH."
  | _ => s!"the request to the daemon failed ({stderr.trimAscii}). Run `llmsuggestd doctor` to \
      find the cause."

/-- The message and the hint in an error answer of the daemon. -/
def errorMessage (json : Json) : Option String := do
  let error ← (json.getObjVal? "error").toOption
  let message ← (error.getObjValAs? String "message").toOption
  match error.getObjValAs? String "hint" with
  | .ok hint => return s!"{message}\n{hint}"
  | .error _ => return message

/-- The daemon's answer. -/
structure Answers where
  /-- The suggestions for each goal, the best first. -/
  forEach : Array (Array Answer)
  /-- The model that made them. -/
  model? : Option String
  /-- The address of the server to which the goals were sent, if the model is a remote one. -/
  sentTo? : Option String := none

/-- The suggestions for the first goal. -/
def Answers.suggestions (answers : Answers) : Array Answer :=
  answers.forEach[0]?.getD #[]

/-- What a message says in parentheses about goals that were sent to a server. -/
def sentNote (sentTo? : Option String) : String :=
  match sentTo? with
  | some address => s!" (the goal was sent to {address})"
  | none => ""

/-- The line of a message about a goal that was sent to a server. -/
def sentLine (sentTo? : Option String) : String :=
  match sentTo? with
  | some address => s!"\nThe goal was sent to {address}."
  | none => ""

/-- Reads the output of `curl`: the body, then the status on a line of its own. -/
def decode (output : String) : Except String Answers := do
  let lines := output.splitOn "\n"
  let status := lines.getLastD ""
  let body := "\n".intercalate lines.dropLast
  let json := (Json.parse body).toOption.getD .null
  if status == "200" then
    let model? := (json.getObjValAs? String "model").toOption
    -- `null` for a model on this machine.
    let sentTo? := (json.getObjValAs? String "remote").toOption
    if let .ok suggestions := json.getObjValAs? (Array Answer) "suggestions" then
      return { forEach := #[suggestions], model?, sentTo? }
    if let .ok results := json.getObjValAs? (Array Result) "results" then
      return { forEach := results.map (·.suggestions), model?, sentTo? }
  else if let some message := errorMessage json then
    throw message
  throw s!"another program or version answers at the daemon's address (status {status}). Run \
    `llmsuggestd doctor` to find the cause."

/-- All streams of a process as pipes. -/
abbrev piped : IO.Process.StdioConfig :=
  { stdin := .piped, stdout := .piped, stderr := .piped }

/-- Writes the standard input of a process and closes it. A function of its own, since the handle is
closed at the end of its life. -/
@[noinline] def feed (child : IO.Process.Child piped) (input : String) :
    IO (IO.Process.Child { piped with stdin := .null }) := do
  let (stdin, child) ← child.takeStdin
  -- If `curl` ends before it has read everything, its exit code gives the reason.
  try
    stdin.putStr input
    stdin.flush
  catch _ =>
    pure ()
  return child

/-- Runs `curl`. When the answer is no longer wanted, kills `curl`, so that the daemon cancels the
request, and returns `none`. -/
def runCurl (args : Array String) (input : String) (isUnwanted : IO Bool) :
    IO (Option IO.Process.Output) := do
  let child ← IO.Process.spawn { piped with cmd := "curl", args }
  let child ← feed child input
  let stdout ← IO.asTask child.stdout.readToEnd .dedicated
  while !(← IO.hasFinished stdout) do
    if ← isUnwanted then
      child.kill
      discard child.wait
      return none
    IO.sleep 2
  -- An error of `curl` is short: it waits in the pipe until the answer is read.
  let stderr ← try child.stderr.readToEnd catch _ => pure ""
  return some {
    exitCode := ← child.wait
    -- An answer that is not UTF-8 is invalid.
    stdout := stdout.get.toOption.getD "\nunknown"
    stderr }

/-- Whether the daemon reports that it is loading a model. -/
def Daemon.isLoading (daemon : Daemon) : IO Bool := do
  try
    let (args, input) ← daemon.curl "/ready" none 2
    let output ← runCurl args input (return false)
    return output.any fun output => output.exitCode == 0 && output.stdout.endsWith "\n503"
  catch _ =>
    return false

/-- The result of a request. -/
inductive Reply where
  /-- The daemon's suggestions. -/
  | answers (answers : Answers)
  /-- There are no suggestions. `message` has the reason and a remedy; `isAbsent` says that there is
  no daemon. -/
  | failure (message : String) (isAbsent : Bool)
  /-- The editor has cancelled the request. -/
  | canceled

/-- Asks one daemon for suggestions; `none` if nothing answers there. -/
def Daemon.ask? (daemon : Daemon) (request : Request) (patience : Patience)
    (isCanceled : BaseIO Bool) : IO (Option Reply) := do
  let limit := max patience.timeout patience.loadTimeout
  let (args, input) ← daemon.curl "/v1/suggest" (some (toJson request).compress) limit
  let start ← IO.monoMsNow
  let seconds ← IO.mkRef patience.timeout
  -- While the daemon loads a model, the limit is `loadTimeout`.
  let isLate : IO Bool := do
    let passed := ((← IO.monoMsNow) - start) / 1000
    if passed < (← seconds.get) then
      return false
    if passed < limit && (← daemon.isLoading) then
      seconds.set (min limit (passed + patience.timeout))
      return false
    return true
  let isUnwanted : IO Bool := do return (← isCanceled) || (← isLate)
  let result ← try runCurl args input isUnwanted catch error =>
    pure <| some { exitCode := 255, stdout := "", stderr := toString error }
  if result.isNone && (← isCanceled) then
    return some .canceled
  let output? := result.filter (·.exitCode != curlTimeout)
  let some output := output?
    | return some <| .failure (lateMessage (← seconds.get) (← daemon.isLoading)) false
  if output.exitCode == 7 then
    return none
  unless output.exitCode == 0 do
    return some <| .failure (curlFailure output.exitCode output.stderr) false
  match decode output.stdout with
  | .ok answers => return some <| .answers answers
  | .error message => return some <| .failure message false

/-- Asks the daemon for suggestions. It polls `isCanceled` while it waits. -/
def ask (request : Request) (patience : Patience) (isCanceled : BaseIO Bool) : IO Reply := do
  try
    let named? ← namedDaemon?
    for daemon? in [pure named?, usualDaemon?] do
      if let some daemon ← daemon? then
        if let some reply ← daemon.ask? request patience isCanceled then
          return reply
    let problem := if named?.isSome then "no daemon answers" else "no daemon is running"
    return .failure s!"{problem}. {startHint}" true
  catch error =>
    return .failure (toString error) true

end LlmSuggest
