import LlmSuggest
import FakeDaemon

/-!
# Steps that must not be run, or must not count as proofs

Without one of the protections, each of these gets a wrong mark or ends Lean.
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option llmsuggest.finishers ""
set_option llmsuggest.showInvalid true
set_option linter.unusedVariables false
-- A theorem with a `where` that is proved beside the file makes this Lean complain of itself.
set_option Elab.async false

/-! Only the kernel would reject these, in the complete proof. -/

/--
info: Suggestions that do not work:
  "exact lcProof": it uses an unsafe constant
  "exact unsafeCast ()": it uses an unsafe constant
  "exact False.elim lcUnreachable": it uses an unsafe constant
  "have h : p := lcProof\nexact h": it uses an unsafe constant
  "as_aux_lemma => exact lcProof": it uses an unsafe constant
  "refine And.left (b := p) ⟨lcProof, ?_⟩": it changes nothing
---
error: llmsuggest: none of the model's suggestions works here.
-/
#guard_msgs in
answering "exact lcProof", "exact unsafeCast ()", "exact False.elim lcUnreachable",
  "have h : p := lcProof\nexact h", "as_aux_lemma => exact lcProof", "refine And.left (b := p) ⟨lcProof, ?_⟩" in
example (p : Prop) : p := by
  llmsuggest

/-! The compiler's results are no proofs. -/

/--
info: Suggestions that do not work:
  "decide +native": it contains syntax that a check never runs
  "decide +kernel": it contains syntax that a check never runs
  "decide (config := { native := true })": it contains syntax that a check never runs
  "exact (by native_decide)": it contains syntax that a check never runs
  "exact of_decide_eq_true (Lean.ofReduceBool (decide (5 < 10)) true rfl)": Application type mismatch: The argument rfl has type ?_ = ?_ but is expected to have type Lean.reduceBool (decide (5 < 10)) = true in the application Lean.ofReduceBool (decide (5 < 10)) true rfl
  "exact (fun (_ : True) => (by decide : 5 < 10)) Lean.trustCompiler": it trusts the compiler
---
error: llmsuggest: none of the model's suggestions works here.
-/
#guard_msgs in
answering "decide +native", "decide +kernel", "decide (config := { native := true })", "exact (by native_decide)",
  "exact of_decide_eq_true (Lean.ofReduceBool (decide (5 < 10)) true rfl)",
  "exact (fun (_ : True) => (by decide : 5 < 10)) Lean.trustCompiler" in
set_option pp.mvars.anonymous false in
example : 5 < 10 := by
  llmsuggest

/-! Undetermined universe levels, and a recursion that does not end. -/

/--
info: Suggestions that do not work:
  "exact (fun _ => trivial) PUnit.unit": it leaves a metavariable unassigned
  "exact (fun _ => trivial) (ULift.up 1)": it leaves a metavariable unassigned
  "exact (let rec f : Nat → True := fun n => f n; f 0)": it leaves a metavariable unassigned
  "exact (fun (_ : Nat) => trivial) _": don't know how to synthesize placeholder
---
error: llmsuggest: none of the model's suggestions works here.
-/
#guard_msgs in
answering "exact (fun _ => trivial) PUnit.unit", "exact (fun _ => trivial) (ULift.up 1)",
  "exact (let rec f : Nat → True := fun n => f n; f 0)", "exact (fun (_ : Nat) => trivial) _" in
example : True := by
  llmsuggest

/-! The declaration under elaboration, by each of its names. -/

/--
info: Suggestions that do not work:
  "exact inferInstance": failed to synthesize instance of type class Inhabited Empty
  "infer_instance": failed to synthesize instance of type class Inhabited Empty
---
info: Try this:
  [apply] exact noInstance  -- closes the goal; recursive: it uses `noInstance`
---
error: unsolved goals
⊢ Inhabited Empty
-/
#guard_msgs in
answering "exact noInstance", "exact inferInstance", "infer_instance" in
instance noInstance : Inhabited Empty := by
  llmsuggest

/--
info: Try these:
  [apply] exact second n  -- closes the goal; recursive: it uses `second`
  [apply] exact first n  -- closes the goal; recursive: it uses `first`
  [apply] apply second  -- closes the goal; recursive: it uses `second`
  [apply] simp [second n]  -- closes the goal; recursive: it uses `second`
---
error: unsolved goals
n : Nat
⊢ n * n ∣ n * n * 3
-/
#guard_msgs in
answering "exact second n", "exact first n", "apply second", "simp [second n]" in
mutual
theorem first (n : Nat) : n * n ∣ n * n * 3 := by
  llmsuggest
theorem second (n : Nat) : n * n ∣ n * n * 3 := first n
end

/--
info: Try these:
  [apply] exact helper n  -- closes the goal; recursive: it uses `helper`
  [apply] exact outer n  -- closes the goal; recursive: it uses `outer`
  [apply] exact outer.helper n  -- closes the goal; recursive: it uses `helper`
---
error: unsolved goals
n : Nat
⊢ n * n ∣ n * n * 3
-/
#guard_msgs in
answering "exact helper n", "exact outer n", "exact outer.helper n" in
theorem outer (n : Nat) : n * n ∣ n * n * 3 := by
  llmsuggest
where
  /-- Is proved with `outer`, and must not be used for it without thought. -/
  helper (n : Nat) : n * n ∣ n * n * 3 := ⟨3, rfl⟩

/--
info: Try these:
  [apply] exact inner n  -- closes the goal; recursive: it uses `inner`
  [apply] exact outermost n  -- closes the goal; recursive: it uses `outermost`
---
error: unsolved goals
n✝ n : Nat
⊢ n * n ∣ n * n * 3
-/
#guard_msgs in
answering "exact inner n", "exact outermost n" in
theorem outermost (n : Nat) : n * n ∣ n * n * 3 := by
  let rec inner (n : Nat) : n * n ∣ n * n * 3 := by
    llmsuggest
  exact inner n

/-! A step that leaves the same goal is no progress. -/

/--
info: Suggestions that do not work:
  "refine ?_": it changes nothing
  "refine id ?_": it changes nothing
  "apply id": it changes nothing
  "suffices h : p from h": it changes nothing
  "show p": it changes nothing
---
info: Try these:
  [apply] revert hq; intro hq  -- leaves 1 goal
  [apply] refine @id (id p) ?_  -- leaves 1 goal
  [apply] rename q => hq'  -- leaves 1 goal
  [apply] clear hq  -- leaves 1 goal
  [apply] have hq' := hq  -- leaves 1 goal
  [apply] change id q at hq  -- leaves 1 goal
---
error: unsolved goals
p q : Prop
hq : q
⊢ p
-/
#guard_msgs in
answering "refine ?_", "refine id ?_", "apply id", "suffices h : p from h", "show p", "revert hq; intro hq",
  "refine @id (id p) ?_", "rename q => hq'", "clear hq", "have hq' := hq", "change id q at hq" in
example (p q : Prop) (hq : q) : p := by
  llmsuggest

/-! Code in the text, files, programs, and steps that ask the model again. -/

/--
info: Suggestions that do not work:
  "exact (include_str \"/etc/passwd\") |> fun _ => hp": it contains syntax that a check never runs
  "exact (by run_tac return; exact hp)": it contains syntax that a check never runs
  "open Nat in run_tac return": it contains syntax that a check never runs
  "first | exact hp | run_tac return": it contains syntax that a check never runs
  "exact (by_elab return .const `trivial [])": it contains syntax that a check never runs
  "all_goals (sleep 100000)": it contains syntax that a check never runs
  "try?": it contains syntax that a check never runs
  "try (try?)": it contains syntax that a check never runs
  "llmsuggest \"exact\"": it contains syntax that a check never runs
  "exact by llmsuggest": it contains syntax that a check never runs
  "run_tac (IO.FS.removeFile \"/tmp/x\" : IO Unit)": it contains syntax that a check never runs
  "set_option pp.all true in run_tac return": it contains syntax that a check never runs
---
error: llmsuggest: none of the model's suggestions works here.
-/
#guard_msgs in
answering "exact (include_str \"/etc/passwd\") |> fun _ => hp", "exact (by run_tac return; exact hp)",
  "open Nat in run_tac return", "first | exact hp | run_tac return", "exact (by_elab return .const `trivial [])",
  "all_goals (sleep 100000)", "try?", "try (try?)", "llmsuggest \"exact\"", "exact by llmsuggest",
  "run_tac (IO.FS.removeFile \"/tmp/x\" : IO Unit)", "set_option pp.all true in run_tac return" in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! Values of configuration items, which Lean runs as compiled code. -/

/--
info: Suggestions that do not work:
  "simp (maxSteps := match unsafeIO (IO.FS.writeFile \"/tmp/llmsuggest-x\" \"\") with |"…: it contains syntax that a check never runs
  "simp (config := { maxSteps := (List.range 10000000000).length })": it contains syntax that a check never runs
  "omega (config := dbgTrace \"loud\" fun _ => {})": it contains syntax that a check never runs
  "simp (maxSteps := Nat.pow 2 9)": it contains syntax that a check never runs
  "grind (splits := (fun n => n) 3)": it contains syntax that a check never runs
---
info: Try these:
  [apply] simp (maxSteps := 1000) [hp]  -- closes the goal
  [apply] simp (config := { maxSteps := 1000, zeta := false }) [hp]  -- closes the goal
  [apply] simp +contextual (disch := assumption) [hp]  -- closes the goal
  [apply] rw (occs := .pos [1]) [← id_eq p, id_eq]; exact hp  -- closes the goal
-/
#guard_msgs in
answering "simp (maxSteps := match unsafeIO (IO.FS.writeFile \"/tmp/llmsuggest-x\" \"\") with | .ok _ => 9 | _ => 8)",
  "simp (config := { maxSteps := (List.range 10000000000).length })",
  "omega (config := dbgTrace \"loud\" fun _ => {})", "simp (maxSteps := Nat.pow 2 9)",
  "grind (splits := (fun n => n) 3)", "simp (maxSteps := 1000) [hp]",
  "simp (config := { maxSteps := 1000, zeta := false }) [hp]",
  "simp +contextual (disch := assumption) [hp]", "rw (occs := .pos [1]) [← id_eq p, id_eq]; exact hp" in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! Words such as `#search`, a command and a tactic that asks a server. Arrays have none. -/

syntax "#ask" : command
syntax "#ask" : tactic
macro_rules | `(tactic| #ask) => `(tactic| assumption)

/--
info: Suggestions that do not work:
  "#ask": it contains syntax that a check never runs
  "first | #ask | exact hp": it contains syntax that a check never runs
---
info: Try this:
  [apply] exact (fun _ _ => hp) #[1] #v[2]  -- closes the goal
-/
#guard_msgs in
answering "#ask", "first | #ask | exact hp", "exact (fun _ _ => hp) #[1] #v[2]" in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! Options that lift limits. -/

/--
info: Suggestions that do not work:
  "set_option maxRecDepth 100000 in exact hp": it contains syntax that a check never runs
  "set_option exponentiation.threshold 100000 in exact hp": it contains syntax that a check never runs
  "set_option debug.skipKernelTC true in exact hp": it contains syntax that a check never runs
  "exact set_option maxRecDepth 100000 in hp": it contains syntax that a check never runs
  "set_option Elab.async true in exact hp": it contains syntax that a check never runs
  "set_option llmsuggest.inBuild true in exact hp": it contains syntax that a check never runs
---
info: Try these:
  [apply] set_option maxHeartbeats 400000 in exact hp  -- closes the goal
  [apply] set_option pp.all true in exact (hp)  -- closes the goal
-/
#guard_msgs in
answering "set_option maxRecDepth 100000 in exact hp", "set_option exponentiation.threshold 100000 in exact hp",
  "set_option debug.skipKernelTC true in exact hp", "exact set_option maxRecDepth 100000 in hp",
  "set_option Elab.async true in exact hp", "set_option llmsuggest.inBuild true in exact hp",
  "set_option maxHeartbeats 400000 in exact hp", "set_option pp.all true in exact (hp)" in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! Numbers that are too large for the memory. -/

/--
info: Suggestions that do not work:
  "exact absurd (by decide : 10 ^ 10 ^ 10 = 0) (by decide)": it contains a number that is too large to compute
  "simp [show 1 <<< (2 ^ 40) ≠ 0 by decide]": it contains a number that is too large to compute
  "have := Nat.pow 2 (Nat.pow 2 64)": it contains a number that is too large to compute
  "have : ((((2 ^ 256) ^ 256) ^ 256) ^ 256) ^ 256 % 2 = 0 := by decide": it contains a number that is too large to compute
  "norm_num [(2 * 3) ^ (1 + 1000000)]": it contains a number that is too large to compute
  "have : 0 < Nat.shiftLeft 1 1000000000000 := by decide": it contains a number that is too large to compute
---
info: Try this:
  [apply] have : (2 ^ 256) ^ 2 ≠ 2 ^ 64 := by decide  -- leaves 1 goal
---
error: unsolved goals
p : Prop
hp : p
⊢ p
-/
#guard_msgs in
answering "exact absurd (by decide : 10 ^ 10 ^ 10 = 0) (by decide)", "simp [show 1 <<< (2 ^ 40) ≠ 0 by decide]",
  "have := Nat.pow 2 (Nat.pow 2 64)", "have : ((((2 ^ 256) ^ 256) ^ 256) ^ 256) ^ 256 % 2 = 0 := by decide",
  "norm_num [(2 * 3) ^ (1 + 1000000)]", "have : 0 < Nat.shiftLeft 1 1000000000000 := by decide",
  "have : (2 ^ 256) ^ 2 ≠ 2 ^ 64 := by decide" in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! Memory and time: each step has its own limits, and later steps are still checked. -/

/--
info: Suggestions that do not work:
  "repeat have := hp": it reaches Lean's recursion limit, `maxRecDepth`
  "have : (List.range 100000000).length = 100000000 := by decide": it reaches Lean's recursion limit, `maxRecDepth`
  "have : (List.range 3000).foldl (· + ·) 0 = 1 := by simp [List.range, List.range."…: it reaches Lean's recursion limit, `maxRecDepth`
---
info: Try this:
  [apply] exact hp  -- closes the goal
-/
#guard_msgs in
answering "repeat have := hp", "have : (List.range 100000000).length = 100000000 := by decide",
  "have : (List.range 3000).foldl (· + ·) 0 = 1 := by simp [List.range, List.range.loop]",
  "exact hp" in
set_option llmsuggest.heartbeats 100000000 in
set_option llmsuggest.checkTime 100000000 in
set_option llmsuggest.memory 200 in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/--
info: Try these:
  [apply] exact hp  -- closes the goal
  [apply] have : (List.range 100).length = 100 := by decide  -- check stopped: `llmsuggest.heartbeats` was reached
-/
#guard_msgs in
answering "have : (List.range 100).length = 100 := by decide", "exact hp" in
set_option llmsuggest.heartbeats 10 in
set_option llmsuggest.checkTime 100000000 in
set_option llmsuggest.memory 100000000 in
example (p : Prop) (hp : p) : p := by
  llmsuggest

-- The user's own limit also limits the check.
/--
info: Suggestions that do not work:
  "(iterate 40 have : 10 * a < 10 * b := by omega); omega": it exceeds what is left of `maxHeartbeats` here
---
info: Try this:
  [apply] exact Nat.le_of_lt h  -- closes the goal
-/
#guard_msgs in
answering "(iterate 40 have : 10 * a < 10 * b := by omega); omega", "exact Nat.le_of_lt h" in
set_option maxHeartbeats 1000 in
example (a b : Nat) (h : a < b) : a ≤ b := by
  llmsuggest

-- Without a limit, this takes a minute.
/--
info: Try these:
  [apply] exact hp  -- closes the goal
  [apply] iterate 10 (iterate 20 (iterate 20 (iterate 20 (iterate 20 skip))))  -- check stopped: `llmsuggest.checkTime` was reached
-/
#guard_msgs in
answering "exact hp", "iterate 10 (iterate 20 (iterate 20 (iterate 20 (iterate 20 skip))))" in
set_option llmsuggest.heartbeats 100000000 in
set_option llmsuggest.checkTime 3000 in
set_option llmsuggest.memory 100000000 in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! A step must not change other goals, except for metavariables that they share. -/

/--
info: Suggestions that do not work:
  "all_goals exact hp": Type mismatch hp has type p but is expected to have type q
  "any_goals assumption": it changes other goals
  "all_goals simp_all": it changes other goals
  "repeat assumption": it changes other goals
  "exact hp; exact hq": it changes other goals
  "rotate_left": it changes other goals
  "case right => exact hq": it changes other goals
  "case right => skip": unsolved goals
---
info: Try these:
  [apply] exact hp  -- closes the goal
  [apply] case left => assumption  -- closes the goal
  [apply] all_goals try show id p  -- leaves 1 goal
-/
#guard_msgs in
answering "all_goals exact hp", "any_goals assumption", "all_goals simp_all", "repeat assumption",
  "exact hp", "exact hp; exact hq", "rotate_left", "case right => exact hq", "case right => skip",
  "case left => assumption", "all_goals try show id p" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  constructor
  llmsuggest
  exact hq

/--
info: Try this:
  [apply] exact h  -- closes the goal; sets ?w := 3
-/
#guard_msgs in
answering "exact h" in
example (f : Nat → Prop) (h : f 3) : ∃ n, f n := by
  constructor
  llmsuggest

/--
info: Try this:
  [apply] exact h  -- closes the goal; sets ?n := 3
-/
#guard_msgs in
answering "exact h" in
example (f : Nat → Prop) (h : f 3) : ∃ n, f n := by
  refine ⟨?n, ?h⟩
  case h => llmsuggest

/-! Checks leave no trace in the names of later declarations, in hints or in messages. -/

theorem before (n : Nat) (h : n < 5) : n < 7 := by
  as_aux_lemma => omega

/--
info: Suggestions that do not work:
  "conv => skip": it changes nothing
  "exact dbgTrace \"loud\" fun _ => hp": Type mismatch hp has type p of sort `Prop` but is expected to have type ?_ of sort `Type _`
---
info: Try these:
  [apply] exact hp  -- closes the goal
  [apply] (as_aux_lemma => exact hp)  -- closes the goal
  [apply] (trace "loud"; exact hp)  -- closes the goal
  [apply] simp only [hp]  -- closes the goal
-/
#guard_msgs in
answering "show_term exact hp", "(as_aux_lemma => exact hp)",
  "(trace \"loud\"; exact hp)", "simp? [hp]", "conv => skip", "exact dbgTrace \"loud\" fun _ => hp" in
set_option pp.mvars false in
set_option pp.mvars.levels false in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! The text after the call does not become part of the step. -/

/--
info: Try this:
  [apply] (exists 3, 4)  -- closes the goal
-/
#guard_msgs in
answering "exists 3, 4" in
example : (∃ a b : Nat, a < b) ∧ True :=
  ⟨by llmsuggest, trivial⟩

/--
info: Try this:
  [apply] (have h : p := by exact hp)  -- leaves 1 goal
-/
#guard_msgs in
answering "have h : p := by exact hp" in
example (p : Prop) (hp : p) : p := by
  (llmsuggest; exact hp)

/--
info: Try this:
  [apply] (rcases h with h | h)  -- leaves 2 goals
---
error: unsolved goals
p : Prop
n : Nat
h : p ∨ p
f : p → p
⊢ p
-/
#guard_msgs in
answering "rcases h with h | h" in
example (p : Prop) (n : Nat) (h : p ∨ p) (f : p → p) : p :=
  match n with
  | 0 => by llmsuggest
  | n + 1 => by rcases h with h | h <;> exact f h

/--
info: Try these:
  [apply] (cases h with | inl h => exact h | inr h => exact h)  -- closes the goal
  [apply] exact h.elim id id  -- closes the goal
  [apply] (rcases h with h | h)  -- leaves 2 goals
-/
#guard_msgs in
answering "rcases h with h | h", "cases h with | inl h => exact h | inr h => exact h", "exact h.elim id id" in
example (p : Prop) (h : p ∨ p) : p := by
  first | llmsuggest | exact h.elim id id
