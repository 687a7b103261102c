# A formula for Homebrew. Not run on macOS yet.
#
#   make dist && brew install --formula packaging/macos/llmsuggestd.rb
#
# The installation fetches the Python packages from PyPI, and compiles llama.cpp with Metal, which
# takes about three minutes. A formula for a public tap would use the sdist of a release and list the
# packages as resources (`brew update-python-resources`).
class Llmsuggestd < Formula
  include Language::Python::Virtualenv

  desc "Next-tactic suggestions for Lean 4 from a local language model"
  version "0.1.0"
  url "file://#{File.expand_path("../../dist/llmsuggestd-#{version}.tar.gz", __dir__)}"
  license "Apache-2.0"

  depends_on "cmake" => :build
  depends_on "python@3.13"

  def install
    python = Formula["python@3.13"].opt_bin/"python3.13"
    system python, "-m", "venv", libexec
    ENV["SKBUILD_CMAKE_DEFINE"] = "CMAKE_PROJECT_INCLUDE=#{buildpath}/packaging/llama.cmake"
    system libexec/"bin/python", "-m", "pip", "install", "--no-cache-dir", buildpath
    bin.install_symlink libexec/"bin/llmsuggestd"
    generate_completions_from_executable(bin/"llmsuggestd", shell_parameter_format: :click)
  end

  def caveats
    <<~EOS
      Each user begins with
        llmsuggestd install && llmsuggestd start
      which registers an agent with launchd (`brew services` is not needed), and ends with
        llmsuggestd uninstall --purge
      before `brew uninstall llmsuggestd`.
    EOS
  end

  test do
    ENV["LLMSUGGESTD_HOME"] = testpath/"home"
    ENV["LLMSUGGESTD_PORT"] = "0"
    system bin/"llmsuggestd", "install"
    system bin/"llmsuggestd", "start"
    assert_match(/\S/, shell_output("#{bin}/llmsuggestd suggest '⊢ 2 = 2'"))
    system bin/"llmsuggestd", "stop"
  end
end
