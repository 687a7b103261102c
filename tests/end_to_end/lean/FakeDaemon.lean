module

public meta import Lean.Elab.Command

public meta section

/-!
# What the daemon answers, said in the test

These commands write the script that `fake_daemon.py` follows, which runs beside the test.
-/

namespace FakeDaemon

open Lean Elab Command

/-- A file of the test run, in the directory that the Python side made. -/
def file (name : String) : IO System.FilePath := do
  let some directory ← IO.getEnv "FAKE_DAEMON"
    | throw <| IO.userError "this test is run by pytest, which sets FAKE_DAEMON"
  return directory / name

/-- Sets the next answers. -/
def script (fields : List (String × Json)) : IO Unit := do
  IO.FS.writeFile (← file "script.json") (Json.mkObj fields).compress

/-- The model that answers. -/
syntax asModel := " as " str

/-- `answering "simp", "rfl" in cmd` elaborates `cmd` while the model gives these suggestions, and
`answering "simp" as "starter" in cmd` while this model does. -/
elab "answering " texts:str,* model:(asModel)? " in " cmd:command : command => do
  let suggestion (text : StrLit) := Json.mkObj
    [("text", text.getString), ("score", toJson (-0.5 : Float)), ("finished", true)]
  let model? := model.bind (·.raw[1].isStrLit?)
  let body := Json.mkObj
    [("suggestions", .arr (texts.getElems.map suggestion)), ("model", model?.getD "fake"), ("cached", false)]
  script [("body", body.compress)]
  elabCommand cmd

/-- `replying 500 "text" in cmd` elaborates `cmd` while the daemon answers with this status and
body. -/
elab "replying " status:num body:str " in " cmd:command : command => do
  script [("status", status.getNat), ("body", body.getString)]
  elabCommand cmd

/-- `behaving "slow" in cmd` elaborates `cmd` while the daemon does what `fake_daemon.py` lists
under this name. -/
elab "behaving " name:str " in " cmd:command : command => do
  script [("behaviour", name.getString)]
  elabCommand cmd

/-- `discovery "{…}" in cmd` elaborates `cmd` with this text in the daemon's discovery file, in
which `$DIR` and `$PORT` are what the fake daemon uses. -/
elab "discovery " text:str " in " cmd:command : command => do
  let directory := (← file "").toString
  let port := (← IO.FS.readFile (← file "port")).trimAscii.copy
  let text := (text.getString.replace "$DIR/" directory).replace "$PORT" port
  IO.FS.createDirAll (← file "home/config")
  IO.FS.writeFile (← file "home/config/client.json") text
  elabCommand cmd

/-- Shows the last lines of the file above, and the theorem's name, in the last request. -/
elab "#last_context" : command => do
  let .ok json := Json.parse (← IO.FS.readFile (← file "request.json"))
    | throwError "the last request is no JSON"
  let value (key : String) := (json.getObjValAs? String key).toOption.getD "none"
  let lines := (value "context").splitOn "\n"
  logInfo m!"name = {value "name"}, {if lines.length < 3 then "no lines" else "lines"} above"
  logInfo ("\n".intercalate (lines.drop (lines.length - 3)) ++ "|")

/-- Shows the last request that reached the daemon, except for who sent it and from where. -/
elab "#last_request" : command => do
  let .ok json := Json.parse (← IO.FS.readFile (← file "request.json"))
    | throwError "the last request is no JSON"
  for key in ["goal", "prefix", "n"] do
    let value := json.getObjValD key
    logInfo m!"{key} = {value.getStr?.toOption.getD value.compress}"

/-- Shows the axioms of a declaration that were declared beside it, or that trust something else than
Lean's kernel. `#print axioms` is not for modules, to which a theorem of another module is an
axiom. -/
elab "#own_axioms " declaration:ident : command => do
  let axioms ← collectAxioms (← liftCoreM <| realizeGlobalConstNoOverload declaration)
  let env ← getEnv
  let own := axioms.filter fun name => (env.getModuleIdxFor? name).isNone ||
    name ∈ [``sorryAx, ``Lean.ofReduceBool, ``Lean.ofReduceNat, ``Lean.trustCompiler]
  unless own.isEmpty do
    logInfo m!"{declaration} depends on axioms: {own.toList}"

end FakeDaemon
