"""The tray: what the daemon does, as an icon, and a menu of what one does to it.

A process of its own, because GUI main loops have rules, and because it must live while the daemon
is down. `follow` asks the daemon and acts on it, `view` turns what it says into words, `icon`
draws it, `backend` is all that knows pystray, `desktop` hands things to other programs, `autostart`
has the tray start at login, `app` puts them together.
"""
