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

/-- The user's home, without which there is no place to look at. -/
def home : IO FilePath := do
  let name := if Platform.isWindows then "USERPROFILE" else "HOME"
  let some path ← getPath? name
    | throw <| IO.userError s!"llmsuggest: the environment variable {name} is not set. Set it, or \
        LLMSUGGESTD_HOME as the daemon has it."
  return path

/-- The path in one of the daemon's own variables, which no shell may have expanded. -/
def ownPath? (name : String) : IO (Option FilePath) := do
  let some text ← getEnv? name
    | return none
  unless text.startsWith "~" do
    return some text
  match (FilePath.mk text).components with
  | "~" :: rest => return some <| rest.foldl (fun path (name : String) => path / name) (← home)
  | _ => throw <| IO.userError s!"llmsuggest: the environment variable {name} is {text}. Write the \
      path in full."

/-- One of the directories in which all programs have their files: a variable that names it, and
where it is below the home on Linux and elsewhere. `llmsuggestd/paths.py` has the same. -/
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

/-- What a program prints; nothing if it fails, or is not there. -/
def printed (cmd : String) (args : Array String) : IO String := do
  let output? ← try some <$> IO.Process.output { cmd, args } catch _ => pure none
  return match output? with
    | some { exitCode := 0, stdout, .. } => stdout.trimAscii.copy
    | _ => ""

/-- Whether a directory, and no link to one, is the user's and nobody else can enter it. -/
def isOursAlone (directory : FilePath) (uid : String) : IO Bool := do
  let directory := (directory.toString.dropEndWhile '/').copy
  let found ← printed "find" #[directory, "-prune", "-type", "d", "-user", uid, "-perm", "700"]
  return !found.isEmpty

/-- The directory in which the daemon has its socket unless it is told otherwise: the one that the
system made for the user's sockets, if it is fit for them. -/
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

/-- The daemon that is named: by `$LLMSUGGESTD_SOCKET`, else by the discovery file. -/
def namedDaemon? : IO (Option Daemon) := do
  if let some path ← ownPath? "LLMSUGGESTD_SOCKET" then
    return some <| .socket path.toString
  let file := (← configDir) / "client.json"
  let text ← try IO.FS.readFile file catch _ => pure ""
  return Daemon.ofJson? text

/-- The daemon in its usual place, whether it is there or not. The discovery file may be missing,
since the disk was full, or be that of another machine with the same home. -/
def usualDaemon? : IO (Option Daemon) := do
  if Platform.isWindows || (← getEnv? "LLMSUGGESTD_SOCKET").isSome then
    return none
  return some <| .socket ((← runtimeDir) / "daemon.sock").toString

end LlmSuggest
