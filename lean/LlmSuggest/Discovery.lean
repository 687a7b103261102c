/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Data.Json

public meta section

/-!
# Where the daemon is

The daemon listens on a Unix socket and on a port of 127.0.0.1, and says where in a file that it
keeps in the user's configuration directory.
-/

namespace LlmSuggest

open Lean System

/-- Where a daemon can be asked. -/
inductive Daemon where
  /-- A Unix socket, which only its owner can open. -/
  | socket (path : String)
  /-- A port of this machine, for systems without Unix sockets, and the file with its token. -/
  | port (url tokenFile : String)
  deriving Repr, BEq

/-- The value of an environment variable that is set and not empty. -/
def getEnv? (name : String) : BaseIO (Option String) := do
  return (← IO.getEnv name).filter fun value => !value.isEmpty

/-- The directory in which the daemon keeps its configuration. It is the one that Python's
`platformdirs.user_config_dir("llmsuggestd", appauthor=False)` gives, unless `$LLMSUGGESTD_HOME`
gathers all of the daemon's files in one place. -/
def configDir : IO FilePath := do
  if let some root ← getEnv? "LLMSUGGESTD_HOME" then
    return root / "config"
  let base ← if Platform.isWindows then required "LOCALAPPDATA" else unixBase
  return base / "llmsuggestd"
where
  /-- `$name`, without which there is no place to look at. -/
  required (name : String) : IO FilePath := do
    let some value ← getEnv? name
      | throw <| IO.userError s!"llmsuggest: the environment variable {name} is not set"
    return value
  /-- The directory of all programs' configurations on Linux and macOS. -/
  unixBase : IO FilePath := do
    if let some path ← getEnv? "XDG_CONFIG_HOME" then
      if (FilePath.mk path).isAbsolute then
        return path
    let home ← required "HOME"
    return if Platform.isOSX then home / "Library" / "Application Support" else home / ".config"

/-- What to do when no daemon answers, as the end of a message. -/
def startHint : String :=
  "Start it with `llmsuggestd start`."

/-- The daemon that the text of a discovery file names. -/
def Daemon.ofJson? (text : String) : Option Daemon := do
  let json ← (Json.parse text).toOption
  if let .ok path := json.getObjValAs? String "socket" then
    return .socket path
  let url ← (json.getObjValAs? String "url").toOption
  let tokenFile ← (json.getObjValAs? String "token_file").toOption
  return .port url tokenFile

/-- The daemon to ask: the one behind `$LLMSUGGESTD_SOCKET`, else the one in the discovery file. -/
def findDaemon : IO Daemon := do
  if let some path ← getEnv? "LLMSUGGESTD_SOCKET" then
    return .socket path
  let file := (← configDir) / "client.json"
  let text ← try IO.FS.readFile file catch _ =>
    throw <| IO.userError s!"llmsuggest: no daemon is running. {startHint}"
  let some daemon := Daemon.ofJson? text
    | throw <| IO.userError s!"llmsuggest: {file} does not say where the daemon is. \
        Restart it with `llmsuggestd restart`."
  return daemon

end LlmSuggest
