import LlmSuggest

/-! # What is said to `curl`, and what it says -/

open LlmSuggest Lean

/-! The discovery file. -/

#guard Daemon.ofJson? "{\"socket\": \"/run/a b/s\", \"url\": \"u\", \"token_file\": \"t\"}" ==
  some (.socket "/run/a b/s")
#guard Daemon.ofJson? "{\"socket\": null, \"url\": \"u\", \"token_file\": \"t\"}" ==
  some (.port "u" "t")
#guard Daemon.ofJson? "{\"url\": \"u\"}" == none
#guard Daemon.ofJson? "{\"socket\": \"/run/s\"" == none
#guard Daemon.ofJson? "" == none

/-! The body goes to standard input, and nothing of it among the arguments. -/

/-- info: (true, "{\"goal\": \"@secret\"}") -/
#guard_msgs in
#eval show IO _ from do
  let (args, input) ← (Daemon.socket "/s").curl "/v1/suggest" (some "{\"goal\": \"@secret\"}") 5
  return (args.all fun arg => (arg.splitOn "secret").length == 1, input)

/-! Answers. -/

/-- info: #[exact h, simp] -/
#guard_msgs in
#eval match decode "{\"suggestions\": [{\"text\": \"exact h\", \"score\": -1, \"finished\": true},
    {\"text\": \"simp\", \"score\": -2.5, \"finished\": false}], \"more\": 1}\n200" with
  | .ok answers => IO.println s!"{answers.suggestions.map Answer.text}"
  | .error message => IO.println message

/-- info: #[#[exact h], #[]] -/
#guard_msgs in
#eval match decode "{\"results\": [{\"suggestions\": [{\"text\": \"exact h\", \"score\": -1}]},
    {\"suggestions\": [], \"truncated\": true}]}\n200" with
  | .ok answers => IO.println s!"{answers.forEach.map (Array.map Answer.text)}"
  | .error message => IO.println message

/-! One goal or several. -/

#guard ((toJson ({ goals := #["a"], «prefix» := "", n := 5, client := "c" } : Request)).getObjValAs?
  String "goal").toOption == some "a"
#guard ((toJson ({ goals := #["a", "b"], «prefix» := "", n := 5, client := "c" } :
  Request)).getObjValAs? (Array String) "goals").toOption == some #["a", "b"]

/-- info: no model
Get one. -/
#guard_msgs in
#eval match decode "{\"error\":
    {\"code\": \"x\", \"message\": \"no model\", \"hint\": \"Get one.\"}}\n409" with
  | .ok _ => IO.println "answers"
  | .error message => IO.println message
