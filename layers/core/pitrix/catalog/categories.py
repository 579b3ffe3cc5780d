"""The categories of the store: listed, made, edited, removed.

Owns who may change them, and that one always stays for apps that have no other.
"""

from __future__ import annotations

from dataclasses import replace

from pitrix import ids
from pitrix.catalog import edits
from pitrix.catalog.model import DEFAULT_CATEGORIES, UNCATEGORIZED, Category, CategoryPatch
from pitrix.catalog.ports import AppStore
from pitrix.errors import Conflict, NotFound, PreconditionFailed
from pitrix.identity.model import Principal, require


class Categories:
    """The use cases of categories."""

    def __init__(self, apps: AppStore) -> None:
        self._apps = apps

    def all(self, who: Principal) -> list[Category]:
        """All categories in the order in which they are shown."""
        require(who, "catalog", "read")
        return self._apps.categories()

    def one(self, who: Principal, category_id: str) -> Category:
        """One category.

        Raises:
            NotFound: there is none of that id.
        """
        require(who, "catalog", "read")
        category = self._apps.category(category_id)
        if category is None:
            raise NotFound(f"Category {category_id} does not exist.")
        return category

    def create(
        self, who: Principal, *, name: dict[str, str], description: str = "", position: int = 1000
    ) -> Category:
        """Add a category; an operator's right."""
        require(who, "catalog", "manage_categories")
        edits.check_category_name(name)
        category = Category(category_id=ids.new("cat"), name=name, description=description, position=position)
        return self._apps.save_category(category)

    def edit(
        self, who: Principal, category_id: str, patch: CategoryPatch, *, if_revision: int | None = None
    ) -> Category:
        """Change a category; an operator's right.

        Raises:
            PreconditionFailed: it was changed since ``if_revision``.
        """
        require(who, "catalog", "manage_categories")
        category = self.one(who, category_id)
        if if_revision is not None and if_revision != category.revision:
            raise PreconditionFailed(f"Category {category_id} was changed since you read it; read it again.")
        if patch.name is not None:
            edits.check_category_name(patch.name)
        after = replace(
            category,
            name=category.name if patch.name is None else patch.name,
            description=category.description if patch.description is None else patch.description,
            position=category.position if patch.position is None else patch.position,
        )
        try:
            return self._apps.save_category(after)
        except Conflict:
            raise PreconditionFailed(f"Category {category_id} was changed just now; read it again.") from None

    def delete(self, who: Principal, category_id: str) -> None:
        """Remove a category; an operator's right. Apps that name it are then shown without it.

        Raises:
            Conflict: it is the one for apps that have no other.
        """
        require(who, "catalog", "manage_categories")
        if category_id == UNCATEGORIZED:
            raise Conflict("This category holds the apps that have no other; it cannot be deleted.")
        self.one(who, category_id)
        self._apps.delete_category(category_id)

    def ensure(self, who: Principal) -> None:
        """Make the categories of a new platform where they are missing; those that exist stay as they are."""
        require(who, "catalog", "manage_categories")
        for place, (category_id, en, zh) in enumerate(DEFAULT_CATEGORIES):
            category = Category(
                category_id=category_id, name={"en": en, "zh-cn": zh}, position=(place + 1) * 10
            )
            if self._apps.category(category_id) is None:
                try:
                    self._apps.save_category(category)
                except Conflict:
                    continue  # another seed was faster
