# Makes dist\llmsuggestd-setup.exe, which installs Python, llmsuggestd and llama.cpp into one folder of
# the user, without administrator rights. Not run on Windows yet.
#
#   powershell -ExecutionPolicy Bypass -File packaging\windows\build.ps1
#
# Needs Python 3.13 (py.exe), Visual Studio's C++ build tools, and Inno Setup 6. Run it in the build
# tools' prompt. llama.cpp is compiled for any x86-64 CPU with AVX2.
param(
    [string]$PythonVersion = "3.13.5"
)
$ErrorActionPreference = "Stop"
$checkout = (Resolve-Path "$PSScriptRoot\..\..").Path
$work = Join-Path $checkout "build\windows"
$app = Join-Path $work "llmsuggestd"
$tag = "python" + ($PythonVersion -replace '^(\d+)\.(\d+).*', '$1$2')

function Invoke-Checked {
    & $args[0] $args[1..($args.Count - 1)]
    if ($LASTEXITCODE -ne 0) { throw "$($args[0]) ended with $LASTEXITCODE" }
}

Remove-Item -Recurse -Force $work -ErrorAction SilentlyContinue
New-Item -ItemType Directory $app | Out-Null

# Python's embeddable package: a folder that needs no installation
$zip = Join-Path $work "python.zip"
Invoke-WebRequest "https://www.python.org/ftp/python/$PythonVersion/python-$PythonVersion-embed-amd64.zip" `
    -OutFile $zip
Expand-Archive $zip $app
# this file lists the only folders in which it looks for modules
Set-Content (Join-Path $app "$tag._pth") @("$tag.zip", ".", "Lib\site-packages", "import site")

# `llmsuggestd install --accelerator` needs pip
$env:CMAKE_ARGS = "-DGGML_NATIVE=OFF $env:CMAKE_ARGS".Trim()
$env:SKBUILD_CMAKE_DEFINE = "CMAKE_PROJECT_INCLUDE=$checkout/packaging/llama.cmake".Replace("\", "/")
Invoke-Checked py -3.13 -m pip install --no-cache-dir --target (Join-Path $app "Lib\site-packages") `
    pip $checkout
Set-Content (Join-Path $app "llmsuggestd.cmd") '@"%~dp0python.exe" -m llmsuggestd %*'

# test it before it is packed
$env:LLMSUGGESTD_HOME = Join-Path $work "home"
$env:LLMSUGGESTD_PORT = "0"
$command = Join-Path $app "llmsuggestd.cmd"
Invoke-Checked $command install
Invoke-Checked $command start
# PowerShell 5 reads a file without a byte order mark in the system's code page
Invoke-Checked $command suggest "$([char]0x22A2) 2 = 2"
Invoke-Checked $command uninstall --purge
Remove-Item Env:LLMSUGGESTD_HOME, Env:LLMSUGGESTD_PORT

$version = & (Join-Path $app "python.exe") -c "import llmsuggestd; print(llmsuggestd.__version__)"
Invoke-Checked iscc "/DVersion=$version" "/DApp=$app" "/O$(Join-Path $checkout 'dist')" `
    (Join-Path $PSScriptRoot "llmsuggestd.iss")
