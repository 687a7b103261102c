import LlmSuggest

/-! # What lakefiles require, read by Lean's own parser

Reads a list of texts from `$LAKEFILES`, and writes for each what it requires, or why Lean does not
take it, to `$LAKEFILES.read`. The commands are those of Lake's reference manual: its own grammar
cannot be imported, since the npm Lean has no compiled code of Lake.
-/

open Lean Parser Elab Command

namespace Lakefile

syntax target := ident <|> str
syntax git := &"git" term:max ("@" term:max)? ("/" term)?
syntax source := git <|> term
syntax version := "@" (&"git")? term:max

syntax (name := requirement) (docComment)? "require" atomic(str "/")? target (version)?
  ("from" source)? ("with" term)? : command

syntax (name := declaration) (docComment)? (Term.attributes)?
  ("package" <|> "lean_lib" <|> "lean_exe") (target)? (Command.whereStructInst)? : command

/-- A requirement's parts as they stand in the text; strings have their value. -/
def part (stx : Syntax) : String :=
  match stx.isStrLit? with
  | some value => value
  | none => match stx with
    | .ident _ _ name _ => name.toString
    | .node _ _ #[one] => part one
    | .atom _ text => text
    | _ => (stx.reprint.getD "").trimAscii.toString

/-- What a text requires: the scope, the name, and where from. -/
def read (text : String) : CommandElabM Json := do
  let context := mkInputContext text "lakefile.lean"
  let (_, state, messages) ← parseHeader context
  let mut (state, messages, found) := (state, messages, #[])
  repeat
    let (stx, next, said) :=
      parseCommand context { env := ← getEnv, options := {} } state messages
    (state, messages) := (next, said)
    if isTerminalCommand stx then
      break
    if stx.isOfKind ``requirement then
      found := found.push <| toJson #[part stx[2][0], part stx[3], part stx[5][1]]
  if messages.hasErrors then
    return toJson (← messages.toList.mapM (·.toString))
  return .arr found

run_cmd
  let some file ← IO.getEnv "LAKEFILES" | throwError "nothing to read"
  let .ok texts := Json.parse (← IO.FS.readFile file) >>= fromJson? (α := Array String)
    | throwError "no list of texts"
  IO.FS.writeFile (file ++ ".read") (toJson (← texts.mapM read)).compress

end Lakefile
