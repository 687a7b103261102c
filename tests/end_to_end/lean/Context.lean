import LlmSuggest
import FakeDaemon

set_option llmsuggest.inBuild true

/-! The daemon is told the tactic state, the file above the call, up to the call, and the theorem's
name. -/

namespace Above

#guard_msgs (drop all) in
answering "rfl" in
theorem above (n : Nat) : n = n := by
  have h : n = n := rfl
  llmsuggest

/--
info: name = Above.above, lines above
---
info: theorem above (n : Nat) : n = n := by
  have h : n = n := rfl
  |
-/
#guard_msgs in
#last_context

/-! An example has no name. -/

#guard_msgs (drop all) in
answering "rfl" in
example : 1 = 1 := by
  llmsuggest

/--
info: name = , lines above
---
info: answering "rfl" in
example : 1 = 1 := by
  |
-/
#guard_msgs in
#last_context

/-! The option turns that off. -/

#guard_msgs (drop all) in
answering "rfl" in
set_option llmsuggest.context false in
theorem alone : 1 = 1 := by
  llmsuggest

/--
info: name = , no lines above
---
info: |
-/
#guard_msgs in
#last_context

/-! Of a long file the last part is sent, from the beginning of a line on, and the beginning stays
where it is from call to call. -/

open LlmSuggest Lean in
/-- info: (true, true, true, true) -/
#guard_msgs in
#eval
  let lines := (List.range 4000).map fun i => s!"-- line {i} of a long file, ∀ ε > 0"
  let map := FileMap.ofString ("\n".intercalate lines)
  let above (stop : Nat) := textAbove map (map.lineStart stop)
  let sizes := (List.range 40).map fun i => (above (3900 + i)).utf8ByteSize
  let starts := (List.range 40).map fun i => ((above (3900 + i)).splitOn "\n").head!
  (sizes.all fun size => size.ble maxAbove && Nat.ble 16000 size,
    starts.eraseDups.length.ble 2,
    starts.all (·.startsWith "-- line "), above 10 == (map.source.splitOn "-- line 9 ").head!)

/-! The tactic state has all goals, first the one that the tactic runs on. -/

#guard_msgs (drop all) in
answering "exact hp" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  constructor
  llmsuggest
  · exact hq

#guard_msgs (drop all) in
answering "exact hp" in
example (p q : Prop) (hp : p) (hq : q) : (p ∧ q) ∧ p := by
  refine ⟨?_, hp⟩
  constructor
  · llmsuggest
  · exact hq

/-! Of a long state, goals are left out from the last one on. -/

open LlmSuggest Lean in
/-- info: (true, true, true) -/
#guard_msgs in
#eval show MetaM _ from do
  let goal ← Meta.mkFreshExprMVar (mkConst ``True)
  let alone ← goalText goal.mvarId!
  let text ← stateText alone (List.replicate 3000 goal.mvarId!)
  return (text.utf8ByteSize.ble maxState, Nat.ble (maxState / 2) text.utf8ByteSize,
    (text.splitOn "\n\n").all (· == alone))

end Above
