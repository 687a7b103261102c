; Inno Setup's recipe, called by build.ps1. Not run on Windows yet.
[Setup]
AppId={{6C1B5C1E-8E35-4E6B-9F57-6A0B3C1F2D11}
AppName=llmsuggestd
AppVersion={#Version}
; for one user: no administrator, nothing outside the user's own folders
PrivilegesRequired=lowest
DefaultDirName={localappdata}\Programs\llmsuggestd
DisableProgramGroupPage=yes
OutputBaseFilename=llmsuggestd-setup
ArchitecturesAllowed=x64compatible
ArchitecturesInstallIn64BitMode=x64compatible
ChangesEnvironment=yes

[Files]
Source: "{#App}\*"; DestDir: "{app}"; Flags: recursesubdirs ignoreversion

[Icons]
Name: "{userprograms}\llmsuggestd"; Filename: "{app}\pythonw.exe"; Parameters: "-m llmsuggestd tray"

[Registry]
; the folder on the user's path, so that `llmsuggestd` is found
Root: HKCU; Subkey: "Environment"; ValueType: expandsz; ValueName: "Path"; \
    ValueData: "{olddata};{app}"; Check: NeedsPath

[Run]
Filename: "{app}\llmsuggestd.cmd"; Parameters: "install"; Flags: runhidden
Filename: "{app}\llmsuggestd.cmd"; Parameters: "start"; Flags: runhidden postinstall; \
    Description: "Start the daemon"

[UninstallRun]
; models and settings stay, as with `llmsuggestd uninstall`
Filename: "{app}\llmsuggestd.cmd"; Parameters: "uninstall"; Flags: runhidden; RunOnceId: "uninstall"

[Code]
function NeedsPath(): Boolean;
var
  Path: String;
begin
  Result := not RegQueryStringValue(HKCU, 'Environment', 'Path', Path)
    or (Pos(';' + Lowercase(ExpandConstant('{app}')) + ';', ';' + Lowercase(Path) + ';') = 0);
end;
