/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Data.Json

public meta section

/-!
# Finding the daemon

The daemon listens on a Unix socket and on a port of 127.0.0.1. A file in the user's configuration
directory has both addresses.
-/

namespace LlmSuggest

open Lean System

/-- A daemon's address. -/
inductive Daemon where
  /-- A Unix socket, which only its owner can open. -/
  | socket (path : String)
  /-- A port of this machine, for systems without Unix sockets, and the file with its token. -/
  | port (url tokenFile : String)
  deriving Repr, BEq

/-- The value of an environment variable that is set and not empty. -/
def getEnv? (name : String) : BaseIO (Option String) := do
  return (← IO.getEnv name).filter fun value => !value.isEmpty

/-- The value of an environment variable that is an absolute path. As the XDG Base Directory
specification says, a relative one counts as unset. -/
def getPath? (name : String) : BaseIO (Option FilePath) := do
  return (← getEnv? name).map FilePath.mk |>.filter (·.isAbsolute)

/-- The user's home directory.

Throws an error that names the variable if there is none. -/
def home : IO FilePath := do
  let name := if Platform.isWindows then "USERPROFILE" else "HOME"
  let some path ← getPath? name
    | throw <| IO.userError s!"llmsuggest: the environment variable {name} is not set. Set it, or \
        set LLMSUGGESTD_HOME to the daemon's value."
  return path

/-- The path in one of the daemon's own variables. Expands a leading `~`, since an editor may set
the variable without a shell. -/
def ownPath? (name : String) : IO (Option FilePath) := do
  let some text ← getEnv? name
    | return none
  unless text.startsWith "~" do
    return some text
  match (FilePath.mk text).components with
  | "~" :: rest => return some <| rest.foldl (fun path (name : String) => path / name) (← home)
  | _ => throw <| IO.userError s!"llmsuggest: the environment variable {name} is {text}. Write the \
      path in full."

/-- One of the user's base directories: the value of its variable, or else the default below the
home directory, on Linux and on macOS. `llmsuggestd/paths.py` has the same rules. -/
def baseDir (name onLinux onMac : String) : IO FilePath := do
  if let some path ← getPath? name then
    return path
  return (← home) / (if Platform.isOSX then onMac else onLinux)

/-- The directory in which the daemon keeps its configuration. -/
def configDir : IO FilePath := do
  if let some root ← ownPath? "LLMSUGGESTD_HOME" then
    return root / "config"
  if Platform.isWindows then
    return ((← getPath? "LOCALAPPDATA").getD ((← home) / "AppData" / "Local")) / "llmsuggestd"
  return (← baseDir "XDG_CONFIG_HOME" ".config" "Library/Application Support") / "llmsuggestd"

/-- A program's output; empty if it fails or is missing. -/
def printed (cmd : String) (args : Array String) : IO String := do
  let output? ← try some <$> IO.Process.output { cmd, args } catch _ => pure none
  return match output? with
    | some { exitCode := 0, stdout, .. } => stdout.trimAscii.copy
    | _ => ""

/-- Whether this is a directory (not a link) that belongs to the user and is closed to others. -/
def isOursAlone (directory : FilePath) (uid : String) : IO Bool := do
  let directory := (directory.toString.dropEndWhile '/').copy
  let found ← printed "find" #[directory, "-prune", "-type", "d", "-user", uid, "-perm", "700"]
  return !found.isEmpty

/-- The default directory of the daemon's socket: the user's runtime directory if it is private, or
else a state directory. -/
def runtimeDir : IO FilePath := do
  if let some root ← ownPath? "LLMSUGGESTD_HOME" then
    return root / "runtime"
  let uid ← printed "id" #["-u"]
  for directory in [← getPath? "XDG_RUNTIME_DIR", some <| FilePath.mk s!"/run/user/{uid}"] do
    if let some directory := directory then
      if ← isOursAlone directory uid then
        return directory / "llmsuggestd"
  let state ← baseDir "XDG_STATE_HOME" ".local/state" "Library/Application Support"
  return state / "llmsuggestd" / "run"

/-- The remedy at the end of a message about a missing daemon. -/
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

/-- The daemon that is named: by `$LLMSUGGESTD_SOCKET`, else by the discovery file. -/
def namedDaemon? : IO (Option Daemon) := do
  if let some path ← ownPath? "LLMSUGGESTD_SOCKET" then
    return some <| .socket path.toString
  let file := (← configDir) / "client.json"
  let text ← try IO.FS.readFile file catch _ => pure ""
  return Daemon.ofJson? text

/-- The address of a daemon in its default place, whether one runs or not. It is needed if the
discovery file is missing, because the disk was full, or is from another machine with the same
home. -/
def usualDaemon? : IO (Option Daemon) := do
  if Platform.isWindows || (← getEnv? "LLMSUGGESTD_SOCKET").isSome then
    return none
  return some <| .socket ((← runtimeDir) / "daemon.sock").toString

end LlmSuggest
