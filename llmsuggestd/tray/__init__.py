"""The tray: an icon that shows the daemon's state, and a menu that controls the daemon.

It is a separate process, since a GUI needs the main thread, and since the tray runs while the
daemon is down. `follow` asks the daemon and acts on it, `view` turns its status into words, `icon`
draws the icon, `backend` alone uses pystray, `desktop` passes texts and files to other programs,
`autostart` starts the tray at login, and `app` combines these.
"""
