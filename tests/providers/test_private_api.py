"""What the registry uses of pluggy beyond its first page: a release that changes it fails here."""

from __future__ import annotations

from types import ModuleType

import pluggy
import pytest

from adapter import hookspecs


@pytest.fixture
def manager() -> pluggy.PluginManager:
    created = pluggy.PluginManager(hookspecs.PROJECT)
    created.add_hookspecs(hookspecs)
    return created


def make_module(name: str, hook: str) -> ModuleType:
    module = ModuleType(name)
    source = f"@hookimpl\ndef {hook}(registry): registry.append(__name__)"
    exec(source, module.__dict__ | {"hookimpl": hookspecs.hookimpl}, module.__dict__)
    return module


def test_get_hookimpls_has_the_function_and_the_module_of_each_hook(
    manager: pluggy.PluginManager,
) -> None:
    one, other = (make_module(name, "register") for name in ("one", "other"))
    for module in (one, other):
        manager.register(module, name=f"dist:{module.__name__}")
    found = {each.plugin: each.function for each in manager.hook.register.get_hookimpls()}
    assert found == {one: one.register, other: other.register}
    manager.unregister(name="dist:one")
    assert [each.plugin for each in manager.hook.register.get_hookimpls()] == [other]


def test_check_pending_names_an_unknown_hook(manager: pluggy.PluginManager) -> None:
    manager.register(make_module("one", "register_providers"), name="dist:one")
    with pytest.raises(pluggy.PluginValidationError, match="unknown hook 'register_providers'"):
        manager.check_pending()


def test_register_names_an_unknown_argument(manager: pluggy.PluginManager) -> None:
    module = ModuleType("one")
    module.register = hookspecs.hookimpl(lambda config: None)  # type: ignore[attr-defined]
    module.register.__name__ = "register"
    with pytest.raises(pluggy.PluginValidationError, match="config"):
        manager.register(module, name="dist:one")
