module

public meta import Lean

public meta section

open Lean IR

/-!
# What a module of this Lean has to carry to be run by the interpreter

This build looks a compiled declaration up by the module that its kernel constant came from. The
compiler's own names (`f._boxed`, `f._closed_1`, `f._lam_0`) are no kernel constants, so they are
not found after an import. Both functions below give such names a dummy constant.
-/

namespace WasmShim

/-- Enters `name` as a constant of no meaning. -/
def addName (env : Environment) (name : Name) : Environment :=
  let decl := .axiomDecl { name, levelParams := [], type := mkConst ``Nat, isUnsafe := false }
  (env.addDeclCore 0 decl none false).toOption.getD env

/-- Adds the boxed versions that `decls` need and that Lean itself would make at import. -/
partial def addBoxed (origEnv : Environment) (decls : Array Decl) (i : Nat) (env : Environment) :
    Environment :=
  if h : i < decls.size then
    let decl := decls[i]
    let env := Id.run do
      if ExplicitBoxing.requiresBoxedVersion origEnv decl then
        if let .fdecl f xs type .. := ExplicitBoxing.mkBoxedVersion decl then
          let env := Lean.Compiler.LCNF.setDeclPublic (addName env f) decl.name
          return declMapExt.addEntry env (.extern f xs type { entries := [.opaque] })
      return env
    addBoxed origEnv decls (i + 1) env
  else env

/-- `addBoxed` for every imported module from the `i`th on. -/
partial def addAllBoxed (origEnv : Environment) (i : Nat) (env : Environment) : Environment :=
  if i < origEnv.header.modules.size then
    let decls := PersistentEnvExtension.getModuleEntries declMapExt origEnv i
    addAllBoxed origEnv (i + 1) (addBoxed origEnv decls 0 env)
  else env

/-- Gives the private implementation of a public declaration a constant of the same type and a
signature, by which the compiler and the interpreter find its code. -/
def addImplementation (origEnv : Environment) («public» «private» : Name) (env : Environment) :
    CoreM Environment := do
  let info := (origEnv.find? «public»).get!
  let decl := .axiomDecl {
    name := «private», levelParams := info.levelParams, type := info.type, isUnsafe := false }
  let env := (env.addDeclCore 0 decl none false).toOption.getD env
  let env := Lean.Compiler.LCNF.setDeclPublic env «private»
  let params := (Array.range info.type.getNumHeadForalls).map fun i =>
    { x := { idx := i + 1 }, borrow := false, ty := .tobject : Param }
  let extern := .extern «private» params .tobject { entries := [.opaque] }
  return addBoxed env #[extern] 0 (declMapExt.addEntry env extern)

/-- Public declarations of Lean's whose implementation is private, and the module that has it. -/
def implementations : List (Name × Name × Name) := [
  (``Dynamic.get?, `Init.Dynamic, `Dynamic.get?Impl),
  (``Dynamic.mk, `Init.Dynamic, `Dynamic.mkImpl),
  (``EnvExtension.getState, `Lean.Environment, `Lean.EnvExtension.getStateUnsafe)]

/-- `addImplementation` for all of them. -/
def addImplementations : CoreM Unit := do
  let origEnv ← getEnv
  for («public», module, implementation) in implementations do
    setEnv (← addImplementation origEnv «public» (mkPrivateNameCore module implementation) (← getEnv))

/-- To be run at the end of a module: makes its compiled code findable for those who import it,
the code of its private declarations too (they are constants already, which Lean complains about on
standard error, but not of the part of the module that is imported). -/
def finish : CoreM Unit := do
  for decl in getDecls (← getEnv) do
    unless ((← getEnv).setExporting true).contains decl.name do
      modifyEnv (addName · decl.name)

end WasmShim

#eval show CoreM Unit from modifyEnv fun env => WasmShim.addAllBoxed env 0 env
#eval WasmShim.addImplementations
#eval WasmShim.finish
